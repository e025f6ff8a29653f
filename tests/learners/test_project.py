"""Learners and routers are what a ``learners.py`` has among its globals."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from headrace.learners.models.definition_hash import PROJECT_MODULE
from headrace.learners.project import load_project
from headrace.schemas.errors import DefinitionError, UnknownNameError

TEXT = """
from datetime import timedelta

from river import dummy

from headrace import Learner, Router


def model():
    return dummy.PriorClassifier()


first = Learner("first", model, None, "y")
more = [Learner("second", model, None, "y"), first, "no learner"]
routers = (
    Router("r", arms=["first"], champion="first", unit="u", entities=["u"], wait=timedelta(hours=1)),
)
"""


def test_definitions_count_once_alone_or_in_lists_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(TEXT)
    project = load_project(tmp_path)
    assert [learner.name for learner in project.learners] == ["first", "second"]
    assert [router.name for router in project.routers] == ["r"]
    assert project.file == tmp_path / "learners.py"


def test_a_name_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(TEXT)
    with pytest.raises(UnknownNameError, match="did you mean 'second'"):
        load_project(tmp_path).learner("secnd")


def test_a_repository_without_the_file_is_a_project_without_learners(tmp_path: Path) -> None:
    project = load_project(tmp_path)
    assert (project.learners, project.routers) == ((), ())


def test_pickles_find_functions_of_the_project_that_was_loaded_last(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(TEXT)
    model = load_project(tmp_path).learner("first").model
    assert pickle.loads(pickle.dumps(model)) is model
    assert model.__module__ == PROJECT_MODULE


def test_a_file_that_cannot_be_run_leaves_the_project_before_it(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(TEXT)
    load_project(tmp_path)
    before = sys.modules[PROJECT_MODULE]
    (tmp_path / "learners.py").write_text("import nowhere_at_all\n")
    with pytest.raises(DefinitionError, match="running it raised ModuleNotFoundError"):
        load_project(tmp_path)
    assert sys.modules[PROJECT_MODULE] is before
