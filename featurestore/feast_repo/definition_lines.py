"""The lines on which objects are defined, found in the text of their file. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator


class DefinitionLines:
    """Knows the lines of one file.

    Parameters
    ----------
    text
        Its content. Of what is no Python nothing is known.

    Examples
    --------
    >>> lines = DefinitionLines('rate = 2\\nuser = Entity(name="customer")\\ntwo = make(Learner("two"))')
    >>> lines.of("customer", "user"), lines.of("two"), lines.of("three")
    (2, 3, None)
    """

    def __init__(self, text: str) -> None:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            tree = ast.Module([], [])
        self._assigned = {name: line for node in tree.body for name, line in _assigned(node)}
        self._called = {name: line for node in ast.walk(tree) for name, line in _called(node)}

    def of(self, name: str, attribute: str | None = None) -> int | None:
        """Return the line of an object, counted from 1; None where the text does not show it.

        Parameters
        ----------
        name
            That of the object, as it is given to its constructor.
        attribute
            The variable or function of the module that is the object.
        """
        found = None if attribute is None else self._assigned.get(attribute)
        return found or self._called.get(name)


def _assigned(node: ast.stmt) -> Iterator[tuple[str, int]]:
    """Names that a statement of a module gives, each with its line; of a function that of its decorator."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name, min([node.lineno, *(each.lineno for each in node.decorator_list)])
        return
    if isinstance(node, ast.ClassDef):
        return
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        for each in ast.walk(target) if target is not None else ():
            if isinstance(each, ast.Name):
                yield each.id, node.lineno
    for inner in ast.iter_child_nodes(node):  # of if, for, with and try
        for each in ast.iter_child_nodes(inner) if isinstance(inner, ast.ExceptHandler) else (inner,):
            if isinstance(each, ast.stmt):
                yield from _assigned(each)


def _called(node: ast.AST) -> Iterator[tuple[str, int]]:
    """The name that a call gives to what it makes, with its line."""
    if isinstance(node, ast.Call):
        named = [keyword.value for keyword in node.keywords if keyword.arg == "name"] or node.args[:1]
        for value in named:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value, node.lineno
