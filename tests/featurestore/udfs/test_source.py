"""The text of a udf: another when it, or anything of the repository that it names, is another."""

from __future__ import annotations

import importlib.util
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from headrace.featurestore.udfs.source import udf_source

HELPERS = """
    FACTOR = 60

    def in_hours(minutes):
        return minutes / FACTOR

    def unused():
        return 0
"""
VIEWS = """
    import functools
    import math
    from datetime import timedelta
    from decimal import Decimal

    import helpers
    from helpers import in_hours

    LEAST, NAMES, STEP = 1, {"b": [2.5], "a": (True, None)}, timedelta(hours=1)

    class Rules:
        most = 7

        @staticmethod
        def holds(x):
            return x < Rules.most

        @classmethod
        def named(cls):
            return "rules"

    def passed_on(function):
        return function

    @passed_on
    def late(df, unit=Decimal("0.5")):
        # a comment is part of the text
        return [in_hours(x) + helpers.FACTOR for x in df if x > LEAST and Rules.holds(x) and NAMES and STEP]

    def bounded(most):
        def inner(df):
            return [x for x in df if x < most]
        return inner

    five, nine = bounded(5), bounded(9)
    short = lambda df: df[:3]

    def recursive(df):
        return recursive(df[1:]) if df else math.pi
"""


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "helpers.py").write_text(textwrap.dedent(HELPERS))
    (tmp_path / "views.py").write_text(textwrap.dedent(VIEWS))
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    sys.modules.pop("helpers", None)


def load(repo: Path) -> Any:
    sys.modules.pop("helpers", None)
    spec = importlib.util.spec_from_file_location("udf_views", repo / "views.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def text_of(repo: Path, name: str = "late") -> str:
    return udf_source(getattr(load(repo), name), repo)


def change(repo: Path, file: str, old: str, new: str) -> None:
    text = (repo / file).read_text()
    assert text.count(old) == 1
    (repo / file).write_text(text.replace(old, new))


def test_the_text_is_the_function_s_own_then_what_it_names_in_order(repo: Path) -> None:
    text = text_of(repo)
    assert text.startswith("def late(df, unit=")
    titles = [line for line in text.splitlines() if line.startswith("# ")]
    assert titles == [
        "# (default 0)",
        "# FACTOR",
        "# LEAST",
        "# NAMES",
        "# Rules.__doc__",
        "# Rules.__module__",
        "# Rules.holds",
        "# Rules.most",
        "# Rules.named",
        "# STEP",
        "# helpers.FACTOR",
        "# helpers.in_hours",
    ]
    assert "# NAMES\ndict('b': list(2.5), 'a': tuple(True, None))\n# Rules" in text


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("views.py", "x > LEAST", "x >= LEAST"),
        ("views.py", "a comment is part", "this comment is part"),
        ("views.py", 'Decimal("0.5")', 'Decimal("0.25")'),
        ("views.py", "LEAST, NAMES, STEP = 1", "LEAST, NAMES, STEP = 2"),
        ("views.py", '"a": (True, None)', '"a": (True, 0)'),
        ("views.py", "timedelta(hours=1)", "timedelta(hours=2)"),
        ("views.py", "most = 7", "most = 8"),
        ("views.py", "x < Rules.most", "x <= Rules.most"),
        ("views.py", 'return "rules"', 'return "others"'),
        ("helpers.py", "minutes / FACTOR", "minutes * FACTOR"),
        ("helpers.py", "FACTOR = 60", "FACTOR = 61"),
    ],
)
def test_another_text_anywhere_is_another_definition(repo: Path, file: str, old: str, new: str) -> None:
    before = text_of(repo)
    change(repo, file, old, new)
    assert text_of(repo) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("views.py", "@passed_on\n", ""),
        ("views.py", "short = lambda df: df[:3]", "short = None"),
        ("helpers.py", "return 0", "return 1"),
        ("views.py", "import functools\n", "import functools  # more lines\n\n\n"),
    ],
)
def test_what_the_function_does_not_name_is_no_part_of_it(repo: Path, file: str, old: str, new: str) -> None:
    before = text_of(repo)
    change(repo, file, old, new)
    assert text_of(repo) == before


def test_closures_differ_by_what_they_close_over(repo: Path) -> None:
    assert text_of(repo, "five") != text_of(repo, "nine")
    assert text_of(repo, "five").endswith("# (most)\n5")


def test_a_lambda_is_known_by_its_own_text(repo: Path) -> None:
    assert text_of(repo, "short") == "lambda df: df[:3]"


def test_a_function_that_calls_itself_is_taken_once(repo: Path) -> None:
    assert text_of(repo, "recursive").count("def recursive") == 1


def test_libraries_are_no_part_of_it(repo: Path) -> None:
    assert "pi" not in text_of(repo, "recursive").partition("math.pi")[2]


def test_a_function_of_elsewhere_is_refused(repo: Path) -> None:
    function = json.dumps
    assert isinstance(function, FunctionType)
    with pytest.raises(ValueError, match=f"'dumps' is in no file of {repo}"):
        udf_source(function, repo)
