"""Outputs of the join are the records they are said to be."""

from __future__ import annotations

import pytest

from headrace.schemas.records import Closing, Example
from headrace.streams.join.wire_format import LoggedPrediction, closing_json, example_json
from tests.support.join_builders import a_prediction

ODD = a_prediction('p"ä', 'k"', 5, features={"f": 0.1 + 0.2, "g": None, "h": True, "i": "\n", "j": 1.0})


@pytest.mark.parametrize("prediction", [ODD, LoggedPrediction.read(ODD.to_bytes())])
def test_outputs_are_the_bytes_pydantic_gives(prediction: LoggedPrediction) -> None:
    example = Example(example_id='p"ä#1', prediction=prediction, label=0.1, label_ts_ms=7)
    assert Example.model_validate_json(example_json(example)).to_bytes() == example.to_bytes()
    for label, ts_ms in ((1.0, 7), (None, None)):
        closing = Closing(prediction=prediction, status="matched", label=label, label_ts_ms=ts_ms)
        assert closing_json(closing) == closing.to_bytes()


def test_the_bytes_of_a_logged_prediction_are_passed_on() -> None:
    raw = ODD.to_bytes().replace(b'"key"', b' "key"')
    example = Example(example_id="e", prediction=LoggedPrediction.read(raw), label=1.0, label_ts_ms=7)
    assert raw in example_json(example)
