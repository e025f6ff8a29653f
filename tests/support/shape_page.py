"""The page with the table of each shape; ``python -m tests.support.shape_page`` writes it."""

from __future__ import annotations

import ast
import os
import sys
import tempfile
from pathlib import Path

from headrace.deploy.commands.check import Check, check_project
from headrace.deploy.settings import load_settings
from tests.support.paths import ROOT
from tests.support.shapes import NAMES, SHAPES, Shape, copy_shape

PAGE = ROOT / "docs" / "reference" / "shapes.md"
_BEGIN = "In the shape of "
_TEMPLATE = "The local template of `feast init`, as the installed Feast writes it."


def section(name: str, shape: Shape, checked: Check) -> str:
    """The section of one shape: which repository has it, and what becomes of every object."""
    rows = ["| object | verdict | why |", "|---|---|---|"]
    for verdict in checked.verdicts:
        cells = (f"{verdict.kind} `{verdict.name}`", verdict.outcome, "; ".join(verdict.why))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells).rstrip() + " |")
    text = "\n".join([f"## {name}", "", _told(name), "", *rows, ""])
    return text.replace(str(shape.repository), "/path/to/repository")


def check_as_it_is(shape: Shape) -> Check:
    """Check a copy with the settings that Headrace has when none are given."""
    return check_project(load_settings(shape.repository, redis="redis://127.0.0.1:6379/0"))


def _told(name: str) -> str:
    for file in sorted((SHAPES / name).rglob("*.py")):
        told = ast.get_docstring(ast.parse(file.read_text())) or ""
        if told.startswith(_BEGIN):
            return " ".join(told.split())
    return _TEMPLATE


def main() -> None:
    head = PAGE.read_text().partition("\n## ")[0].rstrip() + "\n"
    sections = []
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            shape = copy_shape(name, Path(folder) / name)
            before = os.getcwd()
            os.chdir(shape.repository)
            sections.append(section(name, shape, check_as_it_is(shape)))
            os.chdir(before)
    PAGE.write_text("\n".join([head, *sections]))


if __name__ == "__main__":
    sys.exit(main())
