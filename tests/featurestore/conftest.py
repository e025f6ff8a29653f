"""A Feast repository that tests write, change and read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.carrier_repository import DEFINITIONS
from tests.support.repository_config import repository_config


@pytest.fixture
def repo(tmp_path: Path, project: str) -> Path:
    """A repository that compiles; its configuration names a Redis that nobody asks."""
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    (folder / "features.py").write_text(DEFINITIONS)
    (folder / "feature_store.yaml").write_text(repository_config(project))
    return folder


@pytest.fixture
def replace(repo: Path) -> Callable[[str, str], None]:
    """Replace text of ``features.py`` that stands there exactly once."""

    def change(old: str, new: str) -> None:
        file = repo / "features.py"
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
        file.write_text(text.replace(old, new))

    return change


@pytest.fixture
def append(repo: Path) -> Callable[[str], None]:
    """Write more definitions at the end of ``features.py``."""

    def write(text: str) -> None:
        with (repo / "features.py").open("a") as file:
            file.write(textwrap.dedent(text))

    return write


@pytest.fixture
def write_udf(replace: Callable[[str, str], None]) -> Callable[..., None]:
    """Give the view a udf with this body, which derives the column that `mean_1h` is of."""

    def change(body: str, column: str = "hours", mode: str = "pandas", tags: str = "") -> None:
        replace('column="dep_delay"', f'column="{column}"')
        replace("dep_delay=0.01", f"{column}=0.01")
        replace('tags={"headrace.quantum"', f'udf=late, mode="{mode}", tags={{{tags}"headrace.quantum"')
        helpers = "LEAST = 1\n\ndef in_hours(minutes):\n    return minutes / 60\n"
        replace("carrier_delays = ", f"{helpers}\ndef late(df):\n{body.strip(chr(10))}\n\ncarrier_delays = ")

    return change
