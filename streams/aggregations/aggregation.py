"""The interface of aggregations: the state they need in tiles, and their value from what was read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.accumulator import AccumulatorSpec
from headrace.streams.aggregations.totals import COUNTED, Totals
from headrace.streams.columnar.lists import Lists

Values = tuple[NDArray[Any], NDArray[np.bool_]]  # values and validity, shape (n,)
ListValues = tuple[Lists, NDArray[np.bool_]]  # n lists and their validity
# State over a window, shape (n, ...), by the name of the accumulator and the length of the window.
Reading = Mapping[tuple[str, int], NDArray[Any]]

LOSSLESS: dict[str, tuple[ValueType, ...]] = {
    "int": ("Int32", "Int64", "Float64"),
    "long": ("Int64", "Float64"),
    "float": ("Float32", "Float64"),
    "double": ("Float64", "Float32"),
}


def kept_types(kind: str) -> tuple[ValueType, ...]:
    """Return the types that hold the very values of a column of an Avro type, the best first.

    >>> kept_types("string"), kept_types("long")
    (('String',), ('Int64', 'Float64'))
    """
    texts: dict[str, tuple[ValueType, ...]] = {"string": ("String",), "boolean": ("Bool",)}
    return texts.get(kind) or LOSSLESS.get(kind, ())


class Aggregation:
    """One function of one column.

    The value over a window without any non-null value is null, except for counts, which are 0.

    Attributes
    ----------
    summed
        Whether values go into fixed-point sums: those that do not fit are dead letters.
    most_text
        Greatest length of texts, in bytes; longer ones are dead letters. None: any.
    """

    summed: ClassVar[bool] = False
    most_text: ClassVar[int | None] = None

    def __init__(self, spec: AggregationSpec) -> None:
        self.spec = spec
        self._count = AccumulatorSpec(Totals, spec.column, COUNTED)
        self._counted = self._count.name, spec.window_ms

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        """Return the types a feature may have for a column of an Avro type, the best first."""
        return LOSSLESS.get(kind, ())

    @classmethod
    def tile_bytes(cls, spec: AggregationSpec) -> int:
        """Return the memory of one tile of one key in bytes, roughly."""
        return 32

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        """Specs of the state that each tile must keep."""
        return [self._count]

    def due(self, reading: Reading) -> NDArray[np.bool_]:
        """Tell where the window has enough for a value, shape (n,). A null that is due does not fit."""
        due: NDArray[np.bool_] = reading[self._counted] > 0
        return due

    def read(self, reading: Reading) -> Values | ListValues:
        """Return the values, shape (n,) or n lists, and their validity, shape (n,)."""
        raise NotImplementedError
