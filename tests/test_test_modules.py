"""Tests share by modules of `tests/support`; no test module or conftest is imported by another file."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SUPPORT = TESTS / "support"
# Also in the text of programs that tests start.
IMPORTED = re.compile(r"^[ \t>]*(?:from|import)[ ]+(tests(?:[.]\w+)*)", re.MULTILINE)


def test_what_tests_share_is_imported_from_support() -> None:
    found = [
        (file, name) for file in sorted(TESTS.rglob("*.py")) for name in IMPORTED.findall(file.read_text())
    ]
    wrong = [
        f"{file.relative_to(TESTS)} imports {name}" for file, name in found if name[:13] != "tests.support"
    ]
    assert wrong == []
    assert len(found) > 100, "the pattern finds imports"


def test_a_module_that_is_no_test_is_in_support() -> None:
    shapes = TESTS / "featurestore" / "shapes"  # folders of it are Feast repositories
    tests = (file for file in TESTS.rglob("*.py") if not file.is_relative_to(SUPPORT))
    elsewhere = [file for file in tests if file.parent == shapes or not file.is_relative_to(shapes)]
    assert [str(f) for f in elsewhere if not f.name.startswith("test_") and f.name != "conftest.py"] == []
    assert [str(f) for f in SUPPORT.rglob("test_*.py")] == []
