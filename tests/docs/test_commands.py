"""Commands in the documents are there, with the options they are given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main

from headrace.deploy.cli.main import app
from tests.support.documents import DOCUMENTS, blocks, name_of, prose, spans
from tests.support.paths import ROOT
from tests.support.shell_text import Command, commands

OTHERS = {"cd", "curl", "docker", "export", "git", "kubectl", "openssl", "pip"}


def shell(document: Path) -> Iterator[Command]:
    """Commands of the shell blocks, and of the spans of code that begin like one."""
    for block in blocks(document):
        if block.language == "sh":
            yield from commands(block.text)
    for span in spans(document):
        if span.startswith(("headrace ", "make ", "python -m ", "kubectl ")):
            yield from commands(span)


def headrace(words: tuple[str, ...]) -> Any:
    """The command that these words name."""
    command: Any = typer.main.get_command(app)
    path = "headrace"
    for word in words:
        if word.startswith("--") or not hasattr(command, "commands"):
            break
        assert word in command.commands, f"`{path}` has no command '{word}'"
        command, path = command.commands[word], f"{path} {word}"
    return command


@cache
def help_of(module: str) -> str:
    asked = [sys.executable, "-m", module, "--help"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_and_their_options_exist(document: Path) -> None:
    for command in shell(document):
        if command.program == "headrace":
            params = headrace(command.words[1:]).params
            known = {option for param in params for option in (*param.opts, *param.secondary_opts)}
            assert command.options <= known | {"--help"}, command
        elif command.program == "python" and command.words[1] == "-m":
            module = command.words[2]
            assert find_spec(module) is not None, command
            assert all(option in help_of(module) for option in command.options), command
        elif command.program == "make":
            told = subprocess.run(
                ["make", "-n", *command.words[1:]], cwd=ROOT, capture_output=True, text=True
            )
            assert told.returncode == 0, told.stderr
        elif command.program == "python":
            assert command.words[1].endswith(".py"), command  # that it runs is for test_snippets.py
        else:
            assert command.program in OTHERS, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_shell_blocks_are_shell(document: Path) -> None:
    for block in blocks(document):
        if block.language == "sh":
            told = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
            assert (told.returncode, told.stderr) == (0, ""), block.place


def test_every_command_is_told_of() -> None:
    text = "\n".join(prose(document) for document in DOCUMENTS)
    every: Any = typer.main.get_command(app)
    assert [
        name for name in every.commands if f"`{name}" not in text and f"`headrace {name}" not in text
    ] == []
