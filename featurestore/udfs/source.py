"""The text of a udf: what makes it another definition when it changes.

It covers the function, without its decorators, and what it names of the repository: functions, classes,
modules' members and plain values, and what those name. Libraries, and data that is read from files, are not
covered.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_PLAIN = (type(None), bool, int, float, complex, str, bytes, date, timedelta, Decimal)


def udf_source(function: FunctionType, repository: Path) -> str:
    """The text of a function, then one part for each thing it names, in order of the names.

    Parameters
    ----------
    function
        Written in a file of the repository.
    repository
        The folder.

    Raises
    ------
    ValueError
        When it has no text there.
    """
    if not _is_inside(function, repository):
        raise ValueError(f"'{function.__name__}' is in no file of {repository}")
    texts = _Texts(repository)
    texts.add_function("", function)
    own = texts.parts.pop("")
    return "\n".join([own, *(f"# {name}\n{text}" for name, text in sorted(texts.parts.items()))])


class _Texts:
    """Texts of what has been met, by dotted name."""

    def __init__(self, repository: Path) -> None:
        self.parts: dict[str, str] = {}
        self._repository = repository
        self._met: set[int] = set()

    def add_function(self, name: str, function: FunctionType) -> None:
        if id(function) in self._met:
            return
        self._met.add(id(function))
        self.parts[name] = _text_of(function.__code__)
        for parameter, value in _bound(function):
            self._add(f"{name}({parameter})", value, set())
        names = set(_names(function.__code__))
        for found in sorted(names & function.__globals__.keys()):
            self._add(found, function.__globals__[found], names)

    def _add(self, name: str, value: Any, names: set[str]) -> None:
        if isinstance(value, FunctionType):
            if _is_inside(value, self._repository):
                self.add_function(name, value)
        elif isinstance(value, ModuleType):
            if _holds(self._repository, getattr(value, "__file__", None)):
                self._add_members(name, {n: v for n, v in vars(value).items() if n in names}, names)
        elif isinstance(value, type):
            self._add_members(name, dict(vars(value)), names)
        else:
            self.parts[name] = _shown(value)

    def _add_members(self, name: str, members: dict[str, Any], names: set[str]) -> None:
        for member, value in sorted(members.items()):
            if isinstance(value, (FunctionType, *_PLAIN, tuple, list, dict, set, frozenset)):
                self._add(f"{name}.{member}", value, names)


def _text_of(code: CodeType) -> str:
    """The text of the function or the lambdas that begin where the code does, without decorators."""
    text = Path(code.co_filename).read_text(encoding="utf-8")
    found = [
        ast.get_source_segment(text, node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda | ast.FunctionDef) and _begins(node) == code.co_firstlineno
    ]
    return "\n".join(found)


def _begins(node: ast.Lambda | ast.FunctionDef) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(one.lineno for one in decorators)])


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _bound(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Values that the function brings along: defaults and what it closes over."""
    for number, value in enumerate(function.__defaults__ or ()):
        yield f"default {number}", value
    yield from (function.__kwdefaults__ or {}).items()
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue


def _is_inside(function: FunctionType, repository: Path) -> bool:
    return _holds(repository, function.__code__.co_filename)


def _holds(repository: Path, file: str | None) -> bool:
    return file is not None and Path(file).resolve().is_relative_to(repository.resolve())


def _shown(value: Any) -> str:
    """Plain values as they are written; of all else, what it is."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(_shown, value))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({', '.join(sorted(map(_shown, value)))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())})"
    return f"{type(value).__module__}.{type(value).__qualname__}"
