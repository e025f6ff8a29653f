"""Requirements on the definitions of one file, and the error when one does not hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.schemas.errors import DefinitionError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
        self.require(name in existing, where, f"{kind} '{name}' does not exist", remedy)

    def names(self, kind: str, names: Sequence[str]) -> None:
        """Require that names are unique, and can be part of the names of topics and files."""
        for name, count in Counter(names).items():
            where = f"{kind} '{name}'"
            self.require(count == 1, where, f"{count} {kind}s have this name", "Give each its own name")
            problem = "the name becomes part of topic and file names"
            remedy = "Use letters, digits, '.', '_' and '-' only"
            self.require(bool(_NAME.fullmatch(name)), where, problem, remedy)
