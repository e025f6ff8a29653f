"""Feast's types of stored features to those of the plan."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from headrace.featurestore.compile.definition import Definition
from headrace.schemas.feature_types import FLAT_TYPES, NestedType, ValueType
from headrace.schemas.nested_types import TypeTree


def stored_type(definition: Definition, field: str, dtype: Any) -> ValueType:
    """The type of a feature that a table brings.

    Raises
    ------
    DefinitionError
        When Feast itself has no way to write it.
    """
    tree = _tree(dtype)
    name = str(tree)
    for known in FLAT_TYPES:
        if name == known:
            return known
    if (found := _unwritable(tree)) is not None:
        what, remedy = found
        raise definition.error(
            f"field '{field}' has type {name}, and Feast {version('feast')} {what}", remedy
        )
    return NestedType(name)


def _tree(dtype: Any) -> TypeTree:
    kind = type(dtype).__name__  # not every Feast from 0.60 on has all of them
    if kind == "Struct":
        return TypeTree(kind, tuple((name, _tree(each)) for name, each in dtype.fields.items()))
    if kind in ("Array", "Set"):
        return TypeTree(kind, (("", _tree(dtype.base_type)),))
    return TypeTree(str(dtype))


def _unwritable(tree: TypeTree, inside: str = "") -> tuple[str, str] | None:
    """What Feast cannot do with a type that is inside of another, or none, and the remedy."""
    lists = tree.name in ("Array", "Set")
    if tree.name == "Invalid":
        return "calls Invalid what has no type", "Write the type that the values have"
    if inside == "Struct" and tree.name == "ScalarMap":
        return "cannot write a ScalarMap in a Struct", "Make it a feature of its own"
    if inside == "Struct" and lists and tree.element.name in ("Array", "Set"):
        return "cannot write lists in lists in a Struct", "Make them a feature of their own"
    if not inside and lists and not tree.element.parts:
        return f"has no {tree}", "Use an Array of Bytes, or of Json"
    outer = "Struct" if "Struct" in (inside, tree.name) else "list"
    return next(filter(None, (_unwritable(part, outer) for _, part in tree.parts)), None)
