"""Models in ONNX answer as their files do, are saved whole, and learn a correction where one is asked for."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from headrace import FrozenModel
from headrace.learners.models.definition_hash import definition_hash
from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.learners.models.scoring import learn, score
from headrace.learners.models.state_digest import state_digest
from headrace.schemas.errors import ModelError
from tests.support import onnx_files

Make = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build the model of a file."""

    def make_model(content: bytes, inputs: tuple[str, ...] = ("a", "b"), **declared: Any) -> Any:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return FrozenModel(path, inputs, **declared)()

    return make_model


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def test_probabilities_and_numbers_are_those_of_the_file(make: Make) -> None:
    classifier = make(onnx_files.logistic([2.0, -1.0], 0.5))
    assert score(classifier, {"b": 3.0, "a": 1}) == pytest.approx(sigmoid(2.0 - 3.0 + 0.5), abs=1e-6)
    regressor = make(onnx_files.line([2.0, -1.0], 0.5), predicts="number")
    assert score(regressor, {"a": 1, "b": 300.0}) == pytest.approx(-297.5)


def test_probabilities_by_class_are_read_as_exporters_write_them(make: Make) -> None:
    p = sigmoid(2.0 * (2.0 - 3.0))
    classifier = make(onnx_files.exported([2.0, -1.0]))
    assert classifier.predict_proba_one({"a": 1, "b": 3}) == pytest.approx({False: 1 - p, True: p}, abs=1e-6)
    named = make(onnx_files.exported([2.0, -1.0], ["late", "early"]), classes=("late", "early"))
    assert named.predict_proba_one({"a": 1, "b": 3}) == pytest.approx({"late": 1 - p, "early": p}, abs=1e-6)


def test_each_input_of_its_own_takes_its_kind_and_nulls_where_there_are_some(make: Make) -> None:
    model = make(onnx_files.several([TensorProto.FLOAT, TensorProto.STRING]), predicts="number")
    assert model.predict_one({"a": 2.5, "b": "x"}) == 2.5
    assert model.predict_one({"a": 2.5}) == 2.5
    with pytest.raises(ValueError, match="the model answers nan"):
        score(model, {"b": "x"})
    with pytest.raises(ValueError, match=r"'a' is a text, and the model takes tensor\(float\)"):
        score(model, {"a": "x", "b": "x"})
    whole = make(onnx_files.several([TensorProto.INT64]), ("a",), predicts="number")
    assert whole.predict_one({"a": 7}) == 7.0
    with pytest.raises(ValueError, match=r"'a' is null, and the model takes .*: declare `null`"):
        whole.predict_one({})
    filled = make(onnx_files.several([TensorProto.INT64]), ("a",), predicts="number", null=-1)
    assert filled.predict_one({}) == -1.0


def test_it_does_not_learn_and_is_saved_with_its_file(make: Make, tmp_path: Path) -> None:
    model = make(onnx_files.logistic([2.0, -1.0]))
    before = state_digest(model)
    learn(model, {"a": 1.0, "b": 2.0}, 1.0)
    assert state_digest(model) == before
    (tmp_path / "model.onnx").unlink()
    loaded = load_model(dump_model(model))
    assert state_digest(loaded) == before
    assert score(loaded, {"a": 1.0, "b": 2.0}) == score(model, {"a": 1.0, "b": 2.0}) == 0.5


def test_the_definition_is_that_of_the_content_and_the_declaration(make: Make) -> None:
    definitions = [
        make(onnx_files.logistic([2.0, -1.0])),
        make(onnx_files.logistic([2.0, -1.5])),
        make(onnx_files.logistic([2.0, -1.0]), ("b", "a")),
        make(onnx_files.logistic([2.0, -1.0]), calibrated=True),
        make(onnx_files.logistic([2.0, -1.0]), classes=("no", "yes")),
    ]
    hashes = [definition_hash(model, ["a", "b"]) for model in definitions]
    assert len({*hashes}) == len(hashes)
    learn(definitions[3], {"a": 1.0, "b": 2.0}, 1.0)
    assert definition_hash(definitions[3], ["a", "b"]) == hashes[3]
    assert definition_hash(make(onnx_files.logistic([2.0, -1.0])), ["a", "b"]) == hashes[0]


def test_a_correction_of_probabilities_learns_how_far_they_are_off(make: Make) -> None:
    content = onnx_files.logistic([3.0, 0.0], 1.0)  # the truth is half as steep, and less often
    plain, calibrated = make(content), make(content, calibrated=True)
    assert score(calibrated, {"a": 0.3, "b": 0.0}) == score(plain, {"a": 0.3, "b": 0.0})
    source = random.Random(1)
    for _ in range(20_000):
        x = {"a": source.gauss(0.0, 1.0), "b": 0.0}
        learn(calibrated, x, float(source.random() < sigmoid(1.5 * x["a"] - 0.5)))
    for a in (-1.0, 0.0, 1.0):
        truth, x = sigmoid(1.5 * a - 0.5), {"a": a, "b": 0.0}
        assert abs(score(calibrated, x) - truth) < 0.05
    assert abs(score(plain, {"a": 0.0, "b": 0.0}) - sigmoid(-0.5)) > 0.3
    assert state_digest(load_model(dump_model(calibrated))) == state_digest(calibrated)


def test_a_correction_of_numbers_follows_the_bias(make: Make) -> None:
    model = make(onnx_files.line([2.0, -1.0]), predicts="number", calibrated=True)
    assert score(model, {"a": 1.0, "b": 1.0}) == pytest.approx(1.0)
    for _ in range(1000):
        learn(model, {"a": 1.0, "b": 1.0}, 11.0)
    assert score(model, {"a": 1.0, "b": 1.0}) == pytest.approx(11.0, abs=0.01)


@pytest.mark.parametrize(
    ("content", "declared", "told"),
    [
        (b"no model", {}, "onnxruntime does not run it"),
        (onnx_files.logistic([1.0, 1.0, 1.0]), {}, "it takes 3 columns, and 2 inputs are declared"),
        (
            onnx_files.several([TensorProto.FLOAT] * 3),
            {},
            r"it takes 3 inputs \('in0', 'in1', 'in2'\), and 2",
        ),
        (onnx_files.logistic([1.0, 1.0], outputs=("p", "q")), {}, "which of its outputs is read"),
        (onnx_files.logistic([1.0, 1.0]), {"output": "q"}, "its output 'q' is not one of floating numbers"),
    ],
)
def test_a_file_that_cannot_be_run_as_declared_is_refused(
    make: Make, content: bytes, declared: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError, match=told):
        make(content, **declared)


def test_what_is_no_probability_is_refused_where_it_is_answered(make: Make) -> None:
    model = make(onnx_files.line([2.0, -1.0]))
    with pytest.raises(ValueError, match=r"gives \[-1.0, 2.0\], which are no probabilities"):
        score(model, {"a": 1.0, "b": 0.0})
    with pytest.raises(ValueError, match="gives 1 numbers, and there are 3 classes"):
        score(make(onnx_files.logistic([2.0, 1.0]), classes=("a", "b", "c")), {"a": 1.0, "b": 0.0})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx' cannot be read: No such file"):
        FrozenModel(tmp_path / "nowhere.onnx", ["a"])()
