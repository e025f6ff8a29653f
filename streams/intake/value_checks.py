"""Checks of values that aggregations cannot hold, in decoded and in derived columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.streams.aggregations import aggregation_of
from headrace.streams.columnar.fixed_point import FixedPoint


@dataclass(frozen=True)
class ValueChecks:
    """Checks of the columns that some views aggregate.

    Attributes
    ----------
    summed
        Columns that are summed, with their fixed point.
    texts
        Text columns, with the greatest length in bytes.
    """

    summed: tuple[tuple[str, FixedPoint], ...]
    texts: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, views: Sequence[StreamViewSpec]) -> Self:
        """Return the checks that the aggregations of views need."""
        kinds = [(a, aggregation_of(a)) for view in views for a in view.aggregations]
        summed = {(a.column, FixedPoint(a.quantum)) for a, kind in kinds if kind.summed}
        texts = {(a.column, kind.most_text) for a, kind in kinds if kind.most_text is not None}
        return cls(tuple(sorted(summed)), tuple(sorted(texts)))

    def failing(self, columns: Mapping[str, Column]) -> Iterator[tuple[int, str]]:
        """Find rows with a value that cannot be held, and the reason."""
        for name, fixed in self.summed:
            column = columns[name]
            for row in np.flatnonzero(column.valid & ~fixed.fits(column.values)).tolist():
                why = f"{name} = {column.values[row]} cannot be summed in units of {fixed.quantum:g}"
                yield row, f"{why}; declare a larger headrace.quantum"
        for name, most in self.texts:
            values = columns[name].values
            if values.dtype.kind != "S" or values.dtype.itemsize <= most:
                continue
            lengths = np.strings.str_len(values)
            for row in np.flatnonzero(lengths > most).tolist():
                why = f"{name} has {lengths[row]} bytes, and of a text {most} at most are held"
                yield row, f"{why}; shorten it in the producer"
