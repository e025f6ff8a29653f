"""Types of several parts by their names: lists in lists and structs, as `FieldSpec.dtype` holds them."""

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
    """A type and what it is made of.

    Attributes
    ----------
    name
        ``Array``, ``Set``, ``Struct``, or the name of a type without parts.
    parts
        The fields of a struct by their names; the element of a list or a set under the empty one.
    """

    name: str
    parts: tuple[tuple[str, TypeTree], ...] = ()

    @property
    def element(self) -> TypeTree:
        """What is in a list or a set."""
        return self.parts[0][1]

    def __str__(self) -> str:
        if self.name in _COLLECTIONS:
            return f"{self.name}({self.element})"
        if self.name == "Struct":
            fields = ", ".join(f"{_written(name)}: {part}" for name, part in self.parts)
            return f"Struct({{{fields}}})"
        return self.name


def parse_type(text: str) -> TypeTree:
    """The tree of a type's name, of which `str` gives the name again.

    Raises
    ------
    ValueError
        When it is no such name.
    """
    tokens = list(_tokens(text))
    tree, end = _read(tokens, 0, text)
    if end != len(tokens):
        raise _wrong(text)
    return tree


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _wrong(text)
        yield found[1]
        at = found.end()


def _read(tokens: list[str], at: int, text: str) -> tuple[TypeTree, int]:
    name = tokens[at] if at < len(tokens) else ""
    if not _PLAIN.fullmatch(name):
        raise _wrong(text)
    if name in _COLLECTIONS:
        _expect(tokens, at + 1, "(", text)
        element, end = _read(tokens, at + 2, text)
        _expect(tokens, end, ")", text)
        return TypeTree(name, (("", element),)), end + 1
    if name == "Struct":
        return _read_struct(tokens, at + 1, text)
    return TypeTree(name), at + 1


def _read_struct(tokens: list[str], at: int, text: str) -> tuple[TypeTree, int]:
    fields: list[tuple[str, TypeTree]] = []
    for opening in "({":
        _expect(tokens, at, opening, text)
        at += 1
    while True:
        _expect(tokens, at + 1, ":", text)
        name = json.loads(tokens[at]) if tokens[at].startswith('"') else tokens[at]
        field, at = _read(tokens, at + 2, text)
        fields.append((name, field))
        if tokens[at : at + 1] != [","]:
            break
        at += 1
    for closing in "})":
        _expect(tokens, at, closing, text)
        at += 1
    return TypeTree("Struct", tuple(fields)), at


def _expect(tokens: list[str], at: int, wanted: str, text: str) -> None:
    if tokens[at : at + 1] != [wanted]:
        raise _wrong(text)


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def _wrong(text: str) -> ValueError:
    return ValueError(f"'{text}' is no type")
