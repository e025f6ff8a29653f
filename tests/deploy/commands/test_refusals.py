"""`headrace plan` tells all refusals of features and learners at once, with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deploy.commands.apply import compile_project
from headrace.schemas.errors import DefinitionError, each_error
from tests.support.clicks_project import make_clicks_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_clicks_project(tmp_path)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def refusals(project: Path) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        compile_project(project)
    return [str(error).replace(f"{project}/", "") for error in each_error(caught.value)]


def line_of(file: Path, text: str) -> int:
    return next(n for n, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_what_only_follows_from_an_error_is_not_told(project: Path) -> None:
    """The learner `live` reads a service of the view that has the error."""
    features, learners = project / "features.py", project / "learners.py"
    replace(features, 'function="count"', 'function="cuont"')
    replace(learners, "wait=timedelta(hours=1)", "wait=timedelta(0)")
    replace(learners, "model=base_rate", "model=lambda: 42")
    found = refusals(project)
    view, router = line_of(features, "user_clicks = Stream"), line_of(learners, "main = Router")
    learner = line_of(learners, 'name="plain"')
    assert [each.split(": ", 2)[:2] for each in found] == [
        [f"features.py:{view}", "stream feature view 'user_clicks', feature 'clicks_1h'"],
        [f"learners.py:{learner}", "learner 'plain'"],
        [f"learners.py:{router}", "router 'main'"],
    ]
    assert "`wait` is 0:00:00. Give" in found[2]


def test_a_broken_file_hides_neither_the_others_nor_the_learners(project: Path) -> None:
    """What is missing may be in the broken file, and is not told: the service that `live` reads."""
    learners = project / "learners.py"
    (project / "broken.py").write_text("services = [\n")
    replace(project / "features.py", 'name="everything"', 'name="everything_else"')
    replace(learners, "partitions=2", "partitions=0")
    found = refusals(project)
    assert [each.partition(": ")[0] for each in found] == [
        "broken.py:1",
        f"learners.py:{line_of(learners, 'main = Router')}",
    ]
    (project / "broken.py").unlink()
    assert len(refusals(project)) == 2
    assert "feature service 'everything' does not exist" in refusals(project)[0]


@pytest.mark.parametrize(("text", "line"), [("x = 1\ny = x / 0\n", 2), ("x = 1\nif x\n", 2)])
def test_learners_that_cannot_be_run_are_told_beside_the_features(
    project: Path, text: str, line: int
) -> None:
    (project / "learners.py").write_text(text)
    replace(project / "features.py", 'function="count"', 'function="cuont"')
    found = refusals(project)
    assert [each.partition(": ")[0].partition(":")[0] for each in found] == ["learners.py", "features.py"]
    assert found[0].startswith(f"learners.py:{line}: learners.py: running it raised")
