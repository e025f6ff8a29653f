"""Shell text of the documents, a command at a time."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_ENDS = {"|", "||", "&&", ";", "&", "(", ")"}
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Command:
    """A program and its words, with what is assigned in front of it."""

    assigned: dict[str, str]
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def options(self) -> set[str]:
        return {word.split("=")[0] for word in self.words if re.match(r"--[a-z]", word)}


def commands(text: str) -> Iterator[Command]:
    """The simple commands of a shell text, each in one line or with backslashes at the ends of lines."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += "@:$%+,{}[]"
        found: list[str] = []
        for token in [*lexer, ";"]:
            if token not in _ENDS:
                found.append(token)
                continue
            assigned = 0
            while assigned < len(found) and _ASSIGNMENT.match(found[assigned]):
                assigned += 1
            if words := tuple(found[assigned:]):
                yield Command(dict(word.split("=", 1) for word in found[:assigned]), words)
            found = []
