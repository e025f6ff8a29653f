"""The documents of the repository, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

DOCUMENTS = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/starter/README.md")
        ),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
_FENCE = re.compile(r'^(?P<fence>```+)(?P<language>\w*)(?: title="(?P<title>[^"]+)")?$')
_NOTE = re.compile(r"^<!-- (?P<name>\w+)(?:: (?P<value>\S.*))? -->$")
_SPAN = re.compile(r"``([^`]+)``|`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes
    ----------
    line
        Number of its first line of text.
    title
        The file whose text it is; None for one that is no file.
    notes
        Comments right before the fence, ``<!-- name: value -->``: ``parsed`` says why it is not run, ``seen``
        that it is what the block before prints, ``appended`` that it goes to the end of its file,
        ``excerpt`` in which file of the repository it stands.
    """

    document: Path
    line: int
    language: str
    title: str | None
    notes: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    lines = document.read_text(encoding="utf-8").splitlines()
    notes: dict[str, str] = {}
    at = 0
    while at < len(lines):
        if opened := _FENCE.match(lines[at]):
            end = lines.index(opened["fence"], at + 1)
            text = "\n".join(lines[at + 1 : end]) + "\n"
            yield Block(document, at + 2, opened["language"], opened["title"], notes, text)
            notes, at = {}, end
        elif note := _NOTE.match(lines[at]):
            notes = notes | {note["name"]: note["value"] or ""}
        else:
            assert not lines[at].lstrip().startswith("```"), f"{document}:{at + 1}: {lines[at]}"
            notes = {}
        at += 1


def prose(document: Path) -> str:
    """The text of a document without its fenced blocks."""
    lines, inside = [], False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def spans(document: Path) -> Iterator[str]:
    """Spans of code in the prose."""
    for double, single in _SPAN.findall(prose(document)):
        yield " ".join((double or single).split())
