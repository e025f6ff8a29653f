"""The join's outputs in JSON, with the bytes of a prediction passed on as they came.

A prediction is written up to four times: as its state, example and closing. Its bytes were checked when it
was read, so they are put in their place rather than made again.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import PrivateAttr

from headrace.schemas.records import Closing, Example, Prediction

_encode = json.JSONEncoder(separators=(",", ":")).encode


class LoggedPrediction(Prediction):
    """A prediction that knows the bytes it was read from."""

    _raw: bytes = PrivateAttr(default=b"")

    @classmethod
    def read(cls, value: bytes) -> LoggedPrediction:
        prediction = cls.model_validate_json(value)
        prediction._raw = value
        return prediction

    @property
    def raw(self) -> bytes:
        return self._raw


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return _encode(value).encode()


def prediction_json(prediction: Prediction) -> bytes:
    return prediction.raw if isinstance(prediction, LoggedPrediction) else prediction.to_bytes()


def example_json(example: Example) -> bytes:
    """What `Example.to_bytes` gives, faster."""
    rest = {"label": example.label, "label_ts_ms": example.label_ts_ms, "weight": example.weight}
    return _with_prediction({"example_id": example.example_id}, example.prediction, rest)


def closing_json(closing: Closing) -> bytes:
    """What `Closing.to_bytes` gives, faster."""
    rest = {"status": closing.status, "label": closing.label, "label_ts_ms": closing.label_ts_ms}
    return _with_prediction({}, closing.prediction, rest)


def _with_prediction(before: dict[str, str], prediction: Prediction, after: dict[str, Any]) -> bytes:
    head = compact(before)[:-1] + (b"," if before else b"")
    return head + b'"prediction":' + prediction_json(prediction) + b"," + compact(after)[1:]
