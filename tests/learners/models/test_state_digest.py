"""State digests do not depend on the process, and see every difference in what was learned."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.learners.models.state_digest import state_digest
from tests.support.digest_process import MODELS, some_digests, train
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_was_saved_and_loaded_goes_on_to_the_same_digest(name: str) -> None:
    model = MODELS[name]()
    train(name, model, 1, 400)
    loaded = load_model(dump_model(model))
    assert state_digest(loaded) == state_digest(model)
    train(name, model, 2, 300)
    train(name, loaded, 2, 300)
    assert state_digest(loaded) == state_digest(model)


@pytest.mark.parametrize("name", MODELS)
def test_more_examples_change_the_digest(name: str) -> None:
    model = MODELS[name]()
    train(name, model, 1, 50)
    before = state_digest(model)
    train(name, model, 3, 20)
    assert state_digest(model) != before


def test_digests_are_equal_in_processes_that_hash_strings_differently() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.digest_process"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.splitlines() == some_digests()
