"""Only names of the allow-list are resolved: a pickle runs nothing."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
from river import linear_model, preprocessing

from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.learners.project import load_project
from headrace.schemas.errors import ModelError
from tests.support.pickled_calls import Calls


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Calls(eval, "1")),
        pickle.dumps(Calls(exec, "1")),
        pickle.dumps(Calls(__import__, "os")),
        pickle.dumps(Calls(print, "x")),
        pickle.dumps(Calls(getattr, linear_model.LogisticRegression(), "__class__")),
        pickle.dumps(Calls(getattr, linear_model.LogisticRegression, "learn_one")),
        pickle.dumps(Calls(getattr, "text", "upper")),
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x05river\x8c\x0butils.sys.exit\x93.",
        b"criver.base.base\nsys\n.",
        b"criver.base.base\ninspect\n.",
        b"not a pickle",
    ],
)
def test_what_is_not_allowed_is_not_loaded(payload: bytes) -> None:
    with pytest.raises(ModelError):
        load_model(payload)


def test_a_refusal_names_what_may_not_be_loaded() -> None:
    with pytest.raises(ModelError, match=r"'builtins\.eval', which may not be loaded; build"):
        load_model(pickle.dumps(Calls(eval, "1")))


def test_a_model_comes_back_with_what_it_has_learned() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for number in range(20):
        model.learn_one({"a": number / 10}, number > 10)
    loaded = load_model(dump_model(model))
    assert loaded.predict_proba_one({"a": 1.5}) == model.predict_proba_one({"a": 1.5})


def test_functions_of_the_projects_learners_are_loaded_and_what_it_imports_is_not(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(
        "import os\nfrom river import compose, linear_model\n\n\n"
        "def doubled(x):\n    return {name: 2 * value for name, value in x.items()}\n\n\n"
        "def model():\n    return compose.FuncTransformer(doubled) | linear_model.LinearRegression()\n"
    )
    load_project(tmp_path)
    import headrace_project_learners as module

    model = module.model()
    model.learn_one({"a": 1.0}, 2.0)
    assert math.isfinite(load_model(dump_model(model)).predict_one({"a": 1.0}))
    with pytest.raises(ModelError, match=r"headrace_project_learners\.os"):
        load_model(b"cheadrace_project_learners\nos\n.")


def test_a_model_that_is_loaded_with_a_pause_after_each_part_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, pauses = {n: float(n) for n in range(100_000)}, list[float]()
    monkeypatch.setattr("headrace.learners.models.safe_pickle.time.sleep", pauses.append)
    data = dump_model(model)
    assert load_model(data, 0.001) == model
    assert len(pauses) >= len(data) // 65_536
    assert set(pauses) == {0.001}
