"""The source text of a udf, which is its definition: another text is another udf.

The text covers the function, without its decorators, and all objects of the repository that it names:
functions, classes, members of modules and plain values, and the objects that those name in turn. Libraries,
and data that is read from files, are not covered.
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
    """The text of a function, then the text of each object that it names, in order of the names.

    Parameters
    ----------
    function
        A function in a file of the repository.
    repository
        The folder.

    Raises
    ------
    ValueError
        When the function is in no file of the folder.
    """
    if not _is_inside(function, repository):
        raise ValueError(f"'{function.__name__}' is in no file of {repository}")
    texts = _Texts(repository)
    texts.add_function("", function)
    own_text = texts.by_name.pop("")
    return "\n".join([own_text, *(f"# {name}\n{text}" for name, text in sorted(texts.by_name.items()))])


class _Texts:
    """Texts of the objects that a function names, by dotted name."""

    def __init__(self, repository: Path) -> None:
        self.by_name: dict[str, str] = {}
        self._repository = repository
        self._visited: set[int] = set()

    def add_function(self, name: str, function: FunctionType) -> None:
        if id(function) in self._visited:
            return
        self._visited.add(id(function))
        self.by_name[name] = _text_of(function.__code__)
        for parameter, value in _bound(function):
            self._add(f"{name}({parameter})", value, set())
        names = set(_names(function.__code__))
        for global_name in sorted(names & function.__globals__.keys()):
            self._add(global_name, function.__globals__[global_name], names)

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
            self.by_name[name] = _shown(value)

    def _add_members(self, name: str, members: dict[str, Any], names: set[str]) -> None:
        for member, value in sorted(members.items()):
            if isinstance(value, staticmethod | classmethod):
                value = value.__func__
            if isinstance(value, (FunctionType, *_PLAIN, tuple, list, dict, set, frozenset)):
                self._add(f"{name}.{member}", value, names)


def _text_of(code: CodeType) -> str:
    """The text, without decorators, of the function or lambdas that begin at the first line of the code."""
    text = Path(code.co_filename).read_text(encoding="utf-8")
    segments = [
        ast.get_source_segment(text, node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda | ast.FunctionDef) and _first_line(node) == code.co_firstlineno
    ]
    return "\n".join(segments)


def _first_line(node: ast.Lambda | ast.FunctionDef) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _bound(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Values that are bound to a function: defaults and closed-over variables."""
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
    """A plain value as it is written; of every other object, its type."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({', '.join(map(_shown, value))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({', '.join(sorted(map(_shown, value)))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())})"
    return f"{type(value).__module__}.{type(value).__qualname__}"
