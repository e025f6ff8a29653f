"""Compilation of many definitions, of which some may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from headrace.featurestore.compile.definition import CannotRun
from headrace.schemas.errors import DefinitionError

Compiled = TypeVar("Compiled")


class Gathering:
    """Keeps the definitions that are left out, with their reasons, and the errors among these.

    Attributes
    ----------
    left_out
        Reason by the name of the definition: a `CannotRun`, or an error.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, DefinitionError] = {}

    def each(self, items: Iterable[Any], compile_one: Callable[[Any], Compiled]) -> tuple[Compiled, ...]:
        """Compile definitions in order of their names, without those that are or must be left out.

        Parameters
        ----------
        items
            Feast's objects.
        compile_one
            Compiles one, or raises a `DefinitionError`.
        """
        compiled = []
        for item in sorted(items, key=lambda item: str(item.name)):
            if item.name not in self.left_out:
                try:
                    compiled.append(compile_one(item))
                except DefinitionError as error:
                    self.left_out[item.name] = error
        return tuple(compiled)


def errors_among(left_out: Iterable[DefinitionError]) -> list[DefinitionError]:
    """Return what is an error, and not only left out."""
    return [error for error in left_out if not isinstance(error, CannotRun)]
