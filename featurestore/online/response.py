"""What a client gets: feature values in columns, with statuses and where they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.redis_codec.decoder import Provenance
from headrace.schemas.errors import HeadraceError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureResponse:
    """Features of `n` entity rows.

    Attributes
    ----------
    entities
        The join keys of the request, by name, n values each.
    columns
        Feature name to n values: int, float, bool, str, bytes, aware UTC datetime (`UnixTimestamp`) or in its
        own zone (`ZonedTimestamp`), UUID, Decimal, what JSON says, a list or a set of these, a dict (`Map`,
        `ScalarMap`, `Struct`), lists of dicts and of lists, or None.
    statuses
        Feature name to n statuses.
    provenance
        View to n log prefixes; None where there is no row, and for batch views.
    """

    entities: dict[str, list[Any]]
    columns: dict[str, list[Any]]
    statuses: dict[str, list[FieldStatus]]
    provenance: dict[str, list[Provenance | None]]

    def to_dict(self) -> dict[str, list[Any]]:
        """Join keys and features as columns, as Feast's response gives them."""
        return {**self.entities, **self.columns}

    def rows(self) -> list[dict[str, Any]]:
        """Join keys and features, one dict per entity row."""
        columns = self.to_dict()
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def to_numpy(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Features as a float64 matrix of shape (n, len(names)).

        Missing values are NaN, bools 0 and 1, times epoch milliseconds.

        Raises
        ------
        UnknownNameError
            When a name was not asked for.
        HeadraceError
            When a feature holds text, or lists: see `lists_to_numpy` and `objects_to_numpy`.
        """
        import numpy as np  # a third of the time the client takes to import, and few ask for a matrix

        rows = len(next(iter(self.columns.values()), []))
        matrix = np.empty((rows, len(names)))
        for position, name in enumerate(names):
            if name not in self.columns:
                raise UnknownNameError("feature", name, list(self.columns))
            matrix[:, position] = [_number(name, value) for value in self.columns[name]]
        return matrix

    def objects_to_numpy(self, names: Sequence[str]) -> NDArray[np.object_]:
        """Features of any type as an object matrix of shape (n, len(names)); missing values are None.

        Raises
        ------
        UnknownNameError
            When a name was not asked for.
        """
        import numpy as np

        matrix = np.empty((len(next(iter(self.columns.values()), [])), len(names)), np.object_)
        for position, name in enumerate(names):
            if name not in self.columns:
                raise UnknownNameError("feature", name, list(self.columns))
            for row, value in enumerate(self.columns[name]):
                matrix[row, position] = value
        return matrix

    def lists_to_numpy(self, name: str, width: int | None = None) -> NDArray[np.float64]:
        """Lists of numbers as a float64 matrix of shape (n, width), such as embeddings.

        Lists begin at the left; what they do not fill, and missing values, are NaN.

        Parameters
        ----------
        name
            A feature of an `Array` type.
        width
            How many columns; as many as the longest list has, when None.

        Raises
        ------
        UnknownNameError
            When the name was not asked for.
        HeadraceError
            When the feature holds no lists of numbers, or one that is longer than `width`.
        """
        import numpy as np

        if name not in self.columns:
            raise UnknownNameError("feature", name, list(self.columns))
        lists = self.columns[name]
        longest = max((len(one) for one in lists if _is_list(name, one)), default=0)
        if width is not None and longest > width:
            raise HeadraceError(f"feature '{name}' has a list of {longest}; give a width of as many or more")
        matrix = np.full((len(lists), longest if width is None else width), np.nan)
        for row, one in enumerate(lists):
            if one:
                matrix[row, : len(one)] = one if type(one[0]) is float else [_element(name, v) for v in one]
        return matrix


def _is_list(name: str, value: Any) -> bool:
    if value is not None and not isinstance(value, list):
        raise HeadraceError(f"feature '{name}' is no list ({value!r}); read it with `to_numpy`")
    return value is not None


def _element(name: str, value: Any) -> float:
    if isinstance(value, list):
        raise HeadraceError(f"feature '{name}' is a list in a list; read it with `objects_to_numpy`")
    return _number(name, value)


def _number(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, datetime):
        return value.timestamp() * 1000
    if isinstance(value, list):
        raise HeadraceError(f"feature '{name}' is a list; read it with `lists_to_numpy`")
    if not isinstance(value, int | float | Decimal):
        kind = "text" if isinstance(value, str) else f"a {type(value).__name__}"
        raise HeadraceError(
            f"feature '{name}' is {kind} ({value!r}) and has no number; leave it out of `names`, or read it "
            "with `objects_to_numpy`"
        )
    return float(value)
