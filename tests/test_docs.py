"""What the documents name exists: commands and their options, settings, files, links, modules and targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main

from headrace.deploy.cli.main import app
from headrace.deploy.settings import Settings
from tests.support.paths import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_CODE = re.compile(r"```.*?```|^    \S[^\n]*(?:(?<=\\)\n[^\n]*)*$|``[^`]+``|`[^`]+`", re.S | re.M)
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_PACKAGES = "deploy|streams|featurestore|learners|schemas|tests|docs|benchmarks|examples"
_FILE = re.compile(rf"(?<![\w./{{}}<-])(?:{_PACKAGES})/[\w./-]+\.[a-z]+\b")


def code(document: Path) -> Iterator[str]:
    """Spans of code, and blocks of it a line at a time; a line that ends in a backslash goes on."""
    for found in _CODE.findall(document.read_text()):
        block = found.startswith(("```", " "))
        yield from re.sub(r"\\\n" if block else r"\n", " ", found).strip("`").splitlines()


def commands(document: Path) -> Iterator[str]:
    """What is said to the `headrace` command, one call each."""
    for line in code(document):
        yield from re.findall(r"(?:^|[\s|(&])headrace ([a-z][^#|;&]*)", " " + line)


def resolve(words: list[str]) -> tuple[Any, str]:
    """The command that these words name, and its name; fails where there is none."""
    command: Any = typer.main.get_command(app)
    path = "headrace"
    for word in words:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands, f"`{path}` has no command '{word}'"
        command, path = command.commands[word], f"{path} {word}"
    return command, path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document: Path) -> None:
    for call in commands(document):
        command, path = resolve(re.findall(r"[\w./-]+", call))
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
        assert set(_OPTION.findall(call)) <= known, f"`{path}` in {document.name}: {call}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_links_modules_and_targets_exist(document: Path) -> None:
    text = document.read_text()
    for link in (one or other for one, other in _LINK.findall(text)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(file), f"{document.name}: {link}"
    for line in code(document):
        for name in _FILE.findall(line):
            placeholder = re.search("[A-Z]{2}", name)
            assert placeholder or (ROOT / name).exists(), f"{document.name}: {name}"
        for module in re.findall(r"python -m ([a-z_][\w.]*)", line):
            assert find_spec(module) is not None, f"{document.name}: {module}"
        for target in re.findall(r"^make ([a-z-]+)", line.strip()):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_settings_are_those_there_are_and_all_of_them() -> None:
    fields = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    told = {
        name for document in DOCUMENTS for name in re.findall(r"HEADRACE_[A-Z_]*[A-Z]", document.read_text())
    }
    assert told - fields <= {
        f"HEADRACE_{name}" for name in ("NAME", "TEST_KAFKA", "TEST_REDIS", "TEST_REGISTRY")
    }
    operations = (ROOT / "docs/operations/settings.md").read_text()
    assert [
        name
        for name in Settings.model_fields
        if not re.search(rf"`{name}`|HEADRACE_{name.upper()}\b", operations)
    ] == []


def test_every_command_is_told_of() -> None:
    command: Any = typer.main.get_command(app)
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    assert [name for name in command.commands if not re.search(rf"(?:headrace |`){name}\b", text)] == []
