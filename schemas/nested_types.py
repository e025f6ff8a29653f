"""Names of types with parts: lists in lists, and structs, as in `FieldSpec.dtype`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\w+|[(){}:,])')
_PLAIN = re.compile(r"\w+")
_COLLECTIONS = ("Array", "Set")


@dataclass(frozen=True)
class TypeTree:
    """A type and its parts.

    Attributes
    ----------
    name
        ``Array``, ``Set``, ``Struct``, or the name of a type without parts.
    parts
        Fields of a struct by name; the element of a list or a set under the empty name.

    Examples
    --------
    >>> tree = parse_type("Array(Struct({rank: Int64, name: String}))")
    >>> tree.element.name, [name for name, _ in tree.element.parts]
    ('Struct', ['rank', 'name'])
    >>> str(tree)
    'Array(Struct({rank: Int64, name: String}))'
    """

    name: str
    parts: tuple[tuple[str, TypeTree], ...] = ()

    @property
    def element(self) -> TypeTree:
        """Type of the elements of a list or a set."""
        return self.parts[0][1]

    def __str__(self) -> str:
        if self.name in _COLLECTIONS:
            return f"{self.name}({self.element})"
        if self.name == "Struct":
            fields = ", ".join(f"{_written(name)}: {part}" for name, part in self.parts)
            return f"Struct({{{fields}}})"
        return self.name


def parse_type(text: str) -> TypeTree:
    """Parse the name of a type; the inverse of `str`.

    Raises
    ------
    ValueError
        When it is not the name of a type.
    """
    tokens = list(_tokens(text))
    tree, end = _read(tokens, 0, text)
    if end != len(tokens):
        raise _wrong(text)
    return tree


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _wrong(text)
        yield token[1]
        position = token.end()


def _read(tokens: list[str], position: int, text: str) -> tuple[TypeTree, int]:
    name = tokens[position] if position < len(tokens) else ""
    if not _PLAIN.fullmatch(name):
        raise _wrong(text)
    if name in _COLLECTIONS:
        _expect(tokens, position + 1, "(", text)
        element, end = _read(tokens, position + 2, text)
        _expect(tokens, end, ")", text)
        return TypeTree(name, (("", element),)), end + 1
    if name == "Struct":
        return _read_struct(tokens, position + 1, text)
    return TypeTree(name), position + 1


def _read_struct(tokens: list[str], position: int, text: str) -> tuple[TypeTree, int]:
    fields: list[tuple[str, TypeTree]] = []
    for opening in "({":
        _expect(tokens, position, opening, text)
        position += 1
    while True:
        _expect(tokens, position + 1, ":", text)
        name = json.loads(tokens[position]) if tokens[position].startswith('"') else tokens[position]
        field, position = _read(tokens, position + 2, text)
        fields.append((name, field))
        if tokens[position : position + 1] != [","]:
            break
        position += 1
    for closing in "})":
        _expect(tokens, position, closing, text)
        position += 1
    return TypeTree("Struct", tuple(fields)), position


def _expect(tokens: list[str], position: int, wanted: str, text: str) -> None:
    if tokens[position : position + 1] != [wanted]:
        raise _wrong(text)


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def _wrong(text: str) -> ValueError:
    return ValueError(f"'{text}' is no type")
