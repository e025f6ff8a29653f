"""Names of features in predictions, in a model's dict and in training sets as served: lists by elements.

A list ``view__feature`` stands there as single values ``view__feature__0``, ``view__feature__1`` and so on,
in the order of the list: of `last_k` the newest first. A place that a list does not reach is None, and what
lies behind the declared length is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.schemas.feature_types import LOGGED_TYPES, ValueType, element_type

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FieldSpec

MOST_ELEMENTS = 1000  # of a list that a model takes: its prediction stays far below the size of a message


@dataclass(frozen=True)
class LoggedName:
    """A single value of a feature.

    Attributes
    ----------
    name, dtype
        As the prediction log has it.
    place
        In the list; None of a feature that is no list.
    """

    name: str
    dtype: ValueType
    place: int | None = None

    def value(self, served: Any) -> Any:
        """Return the single value of a served feature.

        Examples
        --------
        >>> second = LoggedName("shop__amounts__1", "Float64", 1)
        >>> second.value([2.5, 4.0]), second.value([2.5]), second.value(None)
        (4.0, None, None)
        """
        if self.place is None:
            return served
        return None if served is None or self.place >= len(served) else served[self.place]


def logged_names(full_name: str, field: FieldSpec) -> tuple[LoggedName, ...]:
    """Return what stands for a feature; nothing of a type that a prediction does not hold.

    Parameters
    ----------
    full_name
        ``view__feature``.
    field
        The feature, as its view declares it.

    Examples
    --------
    >>> from headrace.schemas.feature_specs import FieldSpec
    >>> last = FieldSpec(name="last", dtype="Array(Int64)", length=2)
    >>> [each.name for each in logged_names("shop__last", last)]
    ['shop__last__0', 'shop__last__1']
    """
    if field.dtype in LOGGED_TYPES:
        return (LoggedName(full_name, field.dtype),)
    element = listed_type(field.dtype)
    if element is None:
        return ()
    places = range(min(field.length, MOST_ELEMENTS))
    return tuple(LoggedName(f"{full_name}__{place}", element, place) for place in places)


def listed_type(dtype: ValueType) -> ValueType | None:
    """Return the type of the elements of a list that a prediction holds; None of every other type.

    >>> listed_type("Array(String)"), listed_type("Set(String)"), listed_type("Array(Bytes)")
    ('String', None, None)
    """
    element = element_type(dtype) if dtype.startswith("Array(") else None
    return element if element in LOGGED_TYPES else None


def logged_value(names: Sequence[LoggedName], features: Mapping[str, Any]) -> Any:
    """Return a feature of a prediction: the list of its single values, as far as there are any.

    Examples
    --------
    >>> names = [LoggedName(f"shop__last__{place}", "Int64", place) for place in range(3)]
    >>> logged_value(names, {"shop__last__0": 7, "shop__last__1": 5, "shop__last__2": None})
    [7, 5]
    """
    if names and names[0].place is None:
        return features.get(names[0].name)
    return without_end([features.get(each.name) for each in names])


def without_end(values: Iterable[Any]) -> list[Any] | None:
    """Return values without those behind the last that is not None; None where there is none."""
    kept = [*values]
    while kept and kept[-1] is None:
        kept.pop()
    return kept or None
