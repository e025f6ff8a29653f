"""Outputs of the join are the records they are said to be."""

from __future__ import annotations

from headrace.schemas.records import Closing, Example
from headrace.streams.join.wire_format import JoinedClosing, JoinedExample, LoggedPrediction, prediction_json
from tests.support.join_builders import a_prediction

ODD = a_prediction('p"ä', 'k"', 5, features={"f": 0.1 + 0.2, "g": None, "h": True, "i": "\n", "j": 1.0})


def test_outputs_are_the_bytes_pydantic_gives() -> None:
    raw, prediction = ODD.to_bytes(), LoggedPrediction.read(ODD.to_bytes())
    example = Example(example_id='p"ä#1', prediction=prediction, label=0.1, label_ts_ms=7)
    joined = JoinedExample(prediction.key, raw, 'p"ä#1', 0.1, 7)
    assert Example.model_validate_json(joined.to_bytes()).to_bytes() == example.to_bytes()
    for label, ts_ms in ((1.0, 7), (None, None)):
        closing = Closing(prediction=prediction, status="matched", label=label, label_ts_ms=ts_ms)
        assert JoinedClosing(prediction.key, raw, "matched", label, ts_ms).to_bytes() == closing.to_bytes()


def test_the_bytes_of_a_prediction_are_passed_on() -> None:
    raw = ODD.to_bytes().replace(b'"key"', b' "key"')
    assert raw in JoinedExample("k", raw, "e", 1.0, 7).to_bytes()
    assert prediction_json(LoggedPrediction.read(raw)) == raw
