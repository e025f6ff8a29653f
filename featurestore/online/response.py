"""The response of a client: feature values in columns, with statuses and provenance."""

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
    """Features of `n` entity rows, in the order of the request.

    A value is None unless its status is PRESENT. Its Python type follows from the type of the feature:

    | Feast's type | Python |
    | --- | --- |
    | Int32, Int64 | int |
    | Float32, Float64 | float |
    | Bool | bool |
    | String | str |
    | Bytes, PdfBytes, ImageBytes | bytes |
    | UnixTimestamp | datetime in UTC |
    | ZonedTimestamp | datetime in its own zone |
    | Uuid, TimeUuid | UUID |
    | Decimal | Decimal |
    | Json | parsed JSON |
    | Map, ScalarMap, Struct | dict |
    | Array(T) | list |
    | Set(T) | set; a list where T is a list |

    Attributes
    ----------
    entities
        Join key to `n` values: those of the request.
    columns
        Feature to `n` values. Features are called ``view__feature``, or ``feature`` where the request said
        ``full_feature_names=False``.
    statuses
        Feature to `n` statuses.
    provenance
        View, by its name in the service, to `n` log prefixes that its rows follow from; None where there is
        no row, and for batch views.

    Examples
    --------
    >>> response = FeatureResponse(
    ...     entities={"carrier": ["UA", "XX"]},
    ...     columns={"delays__mean_1h": [12.5, None], "delays__count_1h": [4, None]},
    ...     statuses={
    ...         "delays__mean_1h": [FieldStatus.PRESENT, FieldStatus.NOT_FOUND],
    ...         "delays__count_1h": [FieldStatus.PRESENT, FieldStatus.NOT_FOUND],
    ...     },
    ...     provenance={"delays": [Provenance(partition=0, offset=42, as_of_ms=1_357_016_400_000), None]},
    ... )
    >>> response.rows()[0]
    {'carrier': 'UA', 'delays__mean_1h': 12.5, 'delays__count_1h': 4}
    >>> response.to_numpy(["delays__count_1h", "delays__mean_1h"])
    array([[ 4. , 12.5],
           [ nan,  nan]])
    >>> response.statuses["delays__mean_1h"][1]
    <FieldStatus.NOT_FOUND: 'NOT_FOUND'>
    """

    entities: dict[str, list[Any]]
    columns: dict[str, list[Any]]
    statuses: dict[str, list[FieldStatus]]
    provenance: dict[str, list[Provenance | None]]

    def to_dict(self) -> dict[str, list[Any]]:
        """Join keys and features as columns, as the response of Feast has them."""
        return {**self.entities, **self.columns}

    def rows(self) -> list[dict[str, Any]]:
        """Join keys and features, one dict per entity row."""
        columns = self.to_dict()
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def to_numpy(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Features as a float64 matrix of shape (n, len(names)).

        Missing values are NaN, bools 0 and 1, times epoch milliseconds.

        Parameters
        ----------
        names
            Features of numbers, bools or times, by their names in `columns`.

        Raises
        ------
        UnknownNameError
            When a name is not in `columns`; names the nearest.
        HeadraceError
            When a feature holds text, or lists: see `lists_to_numpy` and `objects_to_numpy`.
        """
        import numpy as np  # a third of the time the client takes to import, and few ask for a matrix

        matrix = np.empty((self._size(), len(names)))
        for position, name in enumerate(names):
            matrix[:, position] = [_number(name, value) for value in self._column(name)]
        return matrix

    def objects_to_numpy(self, names: Sequence[str]) -> NDArray[np.object_]:
        """Features of any type as an object matrix of shape (n, len(names)); missing values are None.

        Parameters
        ----------
        names
            Features, by their names in `columns`.

        Raises
        ------
        UnknownNameError
            When a name is not in `columns`; names the nearest.
        """
        import numpy as np

        matrix = np.empty((self._size(), len(names)), np.object_)
        for position, name in enumerate(names):
            for row, value in enumerate(self._column(name)):
                matrix[row, position] = value
        return matrix

    def lists_to_numpy(self, name: str, width: int | None = None) -> NDArray[np.float64]:
        """Lists of numbers as a float64 matrix of shape (n, width), such as embeddings.

        Lists begin at the left. Cells that they do not fill, and missing values, are NaN.

        Parameters
        ----------
        name
            A feature of an `Array` type, by its name in `columns`.
        width
            The number of columns; the length of the longest list when None.

        Raises
        ------
        UnknownNameError
            When the name is not in `columns`; names the nearest.
        HeadraceError
            When the feature holds no lists of numbers, or a list longer than `width`.

        Examples
        --------
        >>> response = FeatureResponse({}, {"planes__embedding": [[0.1, 0.2], [0.3], None]}, {}, {})
        >>> response.lists_to_numpy("planes__embedding")
        array([[0.1, 0.2],
               [0.3, nan],
               [nan, nan]])
        """
        import numpy as np

        lists = self._column(name)
        longest = max((len(values) for values in lists if _is_list(name, values)), default=0)
        if width is not None and longest > width:
            raise HeadraceError(f"feature '{name}' has a list of {longest}; give a width of as many or more")
        matrix = np.full((len(lists), longest if width is None else width), np.nan)
        for row, values in enumerate(lists):
            if values:
                is_float = type(values[0]) is float
                matrix[row, : len(values)] = values if is_float else [_element(name, v) for v in values]
        return matrix

    def _size(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def _column(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise UnknownNameError("feature", name, list(self.columns))
        return self.columns[name]


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
