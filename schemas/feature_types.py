"""Types of join keys and features, by Feast's names, and what a name says of its values.

>>> element_type("Array(Int64)"), element_type("Int64")
('Int64', None)
>>> outer_type(NestedType("Array(Struct({rank: Int64}))"))
'Array(Struct)'
>>> is_composite("Map"), is_composite("Array(String)")
(True, False)
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, NewType, cast, get_args

FlatType = Literal[
    "Int32", "Int64", "Float32", "Float64", "String", "Bool", "UnixTimestamp",
    "Bytes", "PdfBytes", "ImageBytes", "Json", "Uuid", "TimeUuid", "Decimal",
    "Array(Int32)", "Array(Int64)", "Array(Float32)", "Array(Float64)", "Array(String)", "Array(Bool)",
    "Array(UnixTimestamp)", "Array(Bytes)", "Array(Json)", "Array(Uuid)", "Array(TimeUuid)", "Array(Decimal)",
    "Set(Int32)", "Set(Int64)", "Set(Float32)", "Set(Float64)", "Set(String)", "Set(Bool)",
    "Set(UnixTimestamp)", "Set(Bytes)", "Set(Uuid)", "Set(TimeUuid)", "Set(Decimal)",
    "Map", "Array(Map)", "ScalarMap", "ZonedTimestamp",
]  # fmt: skip
FLAT_TYPES: Final[tuple[FlatType, ...]] = get_args(FlatType)
# A struct, or lists in lists: the name holds the tree of types that `headrace.schemas.nested_types` parses.
NestedType = NewType("NestedType", str)
ValueType = FlatType | NestedType

# Types that a model takes and the prediction log holds, where a time is epoch milliseconds.
LOGGED_TYPES: Final[tuple[ValueType, ...]] = (
    "Int32", "Int64", "Float32", "Float64", "String", "Bool", "UnixTimestamp",
)  # fmt: skip
# Types that Feast writes into an entity key.
JOIN_KEY_TYPES: Final[tuple[ValueType, ...]] = (
    "Int32", "Int64", "String", "UnixTimestamp", "Bytes", "PdfBytes", "ImageBytes",
)  # fmt: skip
_NESTED: Final = frozenset(["Map", "Array(Map)", "Struct", "Array(Struct)", "Array(Array)", "Set(Array)"])
_COMPOSITE: Final = _NESTED | {"ScalarMap", "ZonedTimestamp"}


@cache
def outer_type(dtype: ValueType) -> str:
    """The name of a type without the fields of its structs and the elements of its inner lists."""
    outer, bracket, inner = dtype.partition("(")
    if not bracket or dtype in FLAT_TYPES:
        return dtype
    if outer == "Struct":
        return outer
    return f"{outer}(Struct)" if inner.startswith("Struct") else f"{outer}(Array)"


@cache
def element_type(dtype: ValueType) -> ValueType | None:
    """The type of the elements of a list or set of single values; None for every other type."""
    inner = dtype[dtype.find("(") + 1 : -1]
    return cast("ValueType", inner) if dtype.endswith(")") and outer_type(dtype) not in _NESTED else None


def is_composite(dtype: ValueType) -> bool:
    """Whether a value has parts of its own types: maps, structs, lists in lists, times with their zone."""
    return outer_type(dtype) in _COMPOSITE
