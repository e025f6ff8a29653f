"""Requirements on the definitions of one file, and the error when one does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.schemas.errors import DefinitionError, NotDefined
from headrace.schemas.names import PART_REMEDY, field_fault, part_fault


@dataclass(frozen=True)
class Requirements:
    """Raises `DefinitionError`, with file, object, value and remedy, for what does not hold.

    Parameters
    ----------
    file
        Path of the file that holds the definitions.
    """

    file: str

    def require(self, holds: bool, where: str, problem: str, remedy: str) -> None:
        """Raise unless `holds`; `where` names the object."""
        if not holds:
            raise DefinitionError(self.file, where, problem, remedy)

    def known(self, where: str, kind: str, name: str, names: Iterable[str]) -> None:
        """Require that a name is one of those that exist."""
        existing = sorted(names)
        remedy = f"Use one of: {', '.join(existing) or '(none defined)'}"
        if name not in existing:
            raise NotDefined(self.file, where, f"{kind} '{name}' does not exist", remedy)

    def names(self, kind: str, names: Sequence[str]) -> None:
        """Require that names are unique, and can be part of the names of topics and files."""
        counts = Counter(names)
        for name in counts:
            self.name(kind, counts, name)

    def name(self, kind: str, counts: Mapping[str, int], name: str) -> None:
        """Require that a name is that of one alone, by the numbers of all, and can be part of such names."""
        where = f"{kind} '{name}'"
        self.require(
            counts[name] == 1, where, f"{counts[name]} {kind}s have this name", "Give each its own name"
        )
        fault = part_fault(name)
        self.require(fault is None, where, f"the name is not taken: {fault}", PART_REMEDY)

    def fields(self, where: str, names: Iterable[str]) -> None:
        """Require that names can be those of features, join keys and fields of requests."""
        for name in names:
            fault = field_fault(name)
            self.require(fault is None, where, f"the name {name!r} is not taken: {fault}", "Rename it")
