"""Feast's types of stored features to those of the plan."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from headrace.featurestore.compile.definition import Definition
from headrace.schemas.feature_types import FLAT_TYPES, NestedType, ValueType
from headrace.schemas.nested_types import TypeTree

_LISTS = ("Array", "Set")


def stored_type(definition: Definition, field: str, dtype: Any) -> ValueType:
    """Return the type of a feature of a table.

    Raises
    ------
    CannotRun
        When Feast itself has no way to write it.

    Examples
    --------
    >>> from feast.types import Array, Int64, Set, String, Struct
    >>> view = Definition("features.py", "feature view 'planes'")
    >>> stored_type(view, "seats", Array(Int64))
    'Array(Int64)'
    >>> stored_type(view, "crew", Struct({"names": Array(String), "size": Int64}))
    'Struct({names: Array(String), size: Int64})'
    """
    tree = _type_tree(dtype)
    name = str(tree)
    for flat in FLAT_TYPES:
        if name == flat:
            return flat
    if (unwritable := _unwritable(tree)) is not None:
        problem, remedy = unwritable
        raise definition.cannot_run(
            f"field '{field}' has type {name}, and Feast {version('feast')} {problem}", remedy
        )
    return NestedType(name)


def _type_tree(dtype: Any) -> TypeTree:
    kind = type(dtype).__name__  # not every Feast from 0.60 on has all of them
    if kind == "Struct":
        return TypeTree(kind, tuple((name, _type_tree(field)) for name, field in dtype.fields.items()))
    if kind in _LISTS:
        return TypeTree(kind, (("", _type_tree(dtype.base_type)),))
    return TypeTree(str(dtype))


def _unwritable(tree: TypeTree, outer: str = "") -> tuple[str, str] | None:
    """Say why Feast cannot write a type that is inside of another, and the remedy; None where it can."""
    is_list = tree.name in _LISTS
    if tree.name == "Invalid":
        return "calls Invalid what has no type", "Write the type that the values have"
    if outer == "Struct" and tree.name == "ScalarMap":
        return "cannot write a ScalarMap in a Struct", "Make it a feature of its own"
    if outer == "Struct" and is_list and tree.element.name in _LISTS:
        return "cannot write lists in lists in a Struct", "Make them a feature of their own"
    if not outer and is_list and not tree.element.parts:
        return f"has no {tree}", "Use an Array of Bytes, or of Json"
    inside = "Struct" if "Struct" in (outer, tree.name) else "list"
    return next(filter(None, (_unwritable(part, inside) for _, part in tree.parts)), None)
