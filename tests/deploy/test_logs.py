"""No text of others can be taken for a line of a log."""

from __future__ import annotations

import logging

import pytest

from headrace.deploy.cli.console import say
from headrace.deploy.logs import OneLineFormatter, print_error

FORGED = "\x1b[2J\n2026-11-30 12:00:00,000 INFO headrace: all is well"


def record(message: str, *arguments: object, raised: BaseException | None = None) -> logging.LogRecord:
    info = None if raised is None else (type(raised), raised, raised.__traceback__)
    return logging.LogRecord("headrace", logging.ERROR, "file.py", 1, message, arguments, info)


def test_a_message_is_one_line() -> None:
    line = OneLineFormatter("%(levelname)s %(name)s: %(message)s").format(record("key %s", FORGED))
    assert line == ("ERROR headrace: key \\u001b[2J\\n2026-11-30 12:00:00,000 INFO headrace: all is well")


def test_the_lines_of_an_error_are_indented() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        text = OneLineFormatter("%(levelname)s %(message)s").format(record("failed", raised=error))
    first, *more = text.split("\n")
    assert first == "ERROR failed"
    assert all(line.startswith("  ") and line.isprintable() for line in more)
    assert any("INFO headrace: all is well" in line for line in more)


def test_an_error_that_nobody_caught_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ValueError, ValueError(FORGED), None)
    shown = capsys.readouterr().err
    assert shown.startswith("ValueError: \\u001b[2J\n  2026-11-30")


def test_the_command_says_what_others_wrote_in_letters(capsys: pytest.CaptureFixture[str]) -> None:
    say("key  reason\nk\x1b]0;title\x07  late")
    assert capsys.readouterr().out == "key  reason\nk\\u001b]0;title\\u0007  late\n"


SECRET = "s3cret/w#rd"
SAID = f"no route to postgresql://me:{SECRET}@db/shop (password='{SECRET}')"


def test_a_log_has_no_account_whoever_says_it() -> None:
    try:
        raise ValueError(SAID)
    except ValueError as error:
        text = OneLineFormatter("%(message)s").format(record("%s", SAID, raised=error))
    assert "no route to postgresql://db/shop" in text
    assert "s3cret" not in text
    assert "w#rd" not in text


def test_an_error_that_ends_the_command_has_no_account(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ValueError, ValueError(SAID), None)
    assert capsys.readouterr().err == "ValueError: no route to postgresql://db/shop (password=...)\n"
