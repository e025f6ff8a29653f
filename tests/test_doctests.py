"""Every example in a docstring runs and prints what it says; those that need a server say ``+SKIP``."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def modules_with_examples() -> list[str]:
    names = []
    for folder in sorted((ROOT / "headrace").iterdir()):
        files = [folder] if folder.suffix == ".py" else sorted(folder.rglob("*.py"))
        names += [name_of(file) for file in files if has_example(file)]
    return names


def has_example(file: Path) -> bool:
    return any(">>> " in line and "+SKIP" not in line for line in file.read_text().splitlines())


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
