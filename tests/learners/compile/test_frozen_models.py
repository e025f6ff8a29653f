"""Frozen models are checked against what their learners read, and are definitions by their content."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto

from headrace.schemas.errors import DefinitionError
from tests.support import onnx_files
from tests.support.flight_learners import flights
from tests.support.frozen_flights import FROZEN, write_model


def test_a_file_is_found_beside_the_definitions_and_is_part_of_them(tmp_path: Path) -> None:
    write_model(tmp_path)
    first, _ = flights(tmp_path, text=FROZEN)
    again, _ = flights(tmp_path, text=FROZEN)
    write_model(tmp_path, bias=-2.0)
    other, _ = flights(tmp_path, text=FROZEN)
    assert first.hash == again.hash
    definitions = [plan.learner("frozen").definition for plan in (first, other)]
    assert len({*definitions, first.learner("corrected").definition}) == 3


@pytest.mark.parametrize(
    ("change", "to", "told"),
    [
        ('"delays__mean",', '"delays__meen",',
         "takes 'delays__meen', which it does not read. Add it to its service or to `request`; "
         "did you mean 'delays__mean'?"),
        ('"delays__count", ', "", "it reads 'delays__count', which its frozen model does not take"),
        ('FrozenModel("model', 'FrozenModel("other', "other.onnx' cannot be read: No such file"),
        ("calibrated=True", 'calibrated=True, classes=("a", "b", "c")', "is calibrated, and has 3 classes"),
        ("null=10)", 'null=10, classes="abc")', "gives probabilities of 'a', 'b', 'c'. Name in `classes`"),
        ("null=10)", 'null=10, output="label")', "it has 'p' (tensor(float))"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_remedy(tmp_path: Path, change: str, to: str, told: str) -> None:
    write_model(tmp_path)
    assert change in FROZEN
    with pytest.raises(DefinitionError) as caught:
        flights(tmp_path, text=FROZEN.replace(change, to))
    assert told in str(caught.value)
    assert caught.value.line is not None


def test_a_text_where_the_file_takes_a_number_is_refused(tmp_path: Path) -> None:
    kinds = [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.STRING]
    (tmp_path / "model.onnx").write_bytes(onnx_files.several(kinds))
    with pytest.raises(DefinitionError, match="it takes 'distance' as a text, and the feature is a number"):
        flights(tmp_path, text=FROZEN)
