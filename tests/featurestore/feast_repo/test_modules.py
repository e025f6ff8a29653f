"""Every file of a repository is imported, and each place that one fails at is told once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.repository import read_repository
from headrace.schemas.errors import DefinitionErrors
from tests.support.edits import Append, Replace, refusal


@pytest.fixture
def broken(repo: Path) -> Path:
    """One file is no Python, one names what is not there, one imports these, one ends the process."""
    (repo / "more").mkdir()
    (repo / "more" / "syntax.py").write_text("x = 1\nview = Feature View()\n")
    (repo / "imports.py").write_text("import json\n\nimport nowhere_to_be_found\n")
    (repo / "follows.py").write_text("import imports\nfrom more.syntax import view\n")
    (repo / "ends.py").write_text("def run():\n    raise SystemExit(3)\n\n\nrun()\n")
    return repo


def test_all_files_that_fail_are_told_at_once_with_their_lines(broken: Path) -> None:
    before = set(sys.modules)
    error = refusal(broken)
    assert isinstance(error, DefinitionErrors)
    assert [str(each) for each in error.errors] == [
        "ends.py:2: module 'ends': SystemExit: 3. Correct it and run again",
        "imports.py:3: module 'imports': ModuleNotFoundError: No module named 'nowhere_to_be_found'. "
        "Correct it and run again",
        "more/syntax.py:2: module 'more.syntax': SyntaxError: invalid syntax. Correct it and run again",
    ]
    with pytest.raises(DefinitionErrors, match="3 definitions cannot be used"):
        read_repository(broken)
    assert not {"ends", "imports", "more", "more.syntax", "follows"} & (set(sys.modules) - before)


def test_errors_of_the_other_files_are_told_as_well(broken: Path, replace: Replace, append: Append) -> None:
    """But not what they miss, which may be in a file that fails."""
    replace('function="mean"', 'function="maen"')
    append("third = FeatureService(name='third', features=['gone:x'])\n")
    error = refusal(broken)
    assert isinstance(error, DefinitionErrors)
    assert [each.file for each in error.errors] == ["ends.py", "imports.py", "more/syntax.py", "features.py"]
    assert "'maen' is unknown" in str(error)
    for file in ("ends.py", "imports.py", "more/syntax.py", "follows.py"):
        (broken / file).unlink()
    assert "there is no view 'gone'" in str(refusal(broken))


def test_a_file_that_imports_another_fails_where_that_does(repo: Path) -> None:
    (repo / "a_reader.py").write_text("from b_helper import rate\n")
    (repo / "b_helper.py").write_text("rate = 1 / 0\n")
    assert str(refusal(repo)).startswith("b_helper.py:1: module 'b_helper': ZeroDivisionError")
    (repo / "b_helper.py").write_text("rates = 1\n")
    assert str(refusal(repo)).startswith("a_reader.py:1: module 'a_reader': ImportError")
    (repo / "b_helper.py").write_text("rate = 1\n")
    assert compile_features(repo).services
