"""Outputs of the join in JSON, which hold the bytes of their prediction as it was read.

A prediction is written up to four times: as its state, example and closing. Its bytes were checked when it
was read, so they are copied rather than encoded again.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import PrivateAttr

from headrace.schemas.records import Closing, Example, Prediction

_encode = json.JSONEncoder(separators=(",", ":")).encode


class LoggedPrediction(Prediction):
    """A prediction with the bytes that it was read from."""

    _raw: bytes = PrivateAttr(default=b"")

    @classmethod
    def read(cls, value: bytes) -> LoggedPrediction:
        """Read a prediction from JSON; raises pydantic's ``ValidationError``."""
        prediction = cls.model_validate_json(value)
        prediction._raw = value
        return prediction

    @property
    def raw(self) -> bytes:
        """The JSON that the prediction was read from."""
        return self._raw


def compact(value: Any) -> bytes:
    """Return a value as JSON without spaces.

    >>> compact({"v": 1, "p": [0.5, None]})
    b'{"v":1,"p":[0.5,null]}'
    """
    return _encode(value).encode()


def prediction_json(prediction: Prediction) -> bytes:
    """Return a prediction as JSON: the bytes that it was read from, where there are any."""
    return prediction.raw if isinstance(prediction, LoggedPrediction) else prediction.to_bytes()


def example_json(example: Example) -> bytes:
    """Return the bytes of `Example.to_bytes`, faster."""
    rest = {"label": example.label, "label_ts_ms": example.label_ts_ms, "weight": example.weight}
    return _with_prediction({"example_id": example.example_id}, example.prediction, rest)


def closing_json(closing: Closing) -> bytes:
    """Return the bytes of `Closing.to_bytes`, faster."""
    rest = {"status": closing.status, "label": closing.label, "label_ts_ms": closing.label_ts_ms}
    return _with_prediction({}, closing.prediction, rest)


def _with_prediction(before: dict[str, str], prediction: Prediction, after: dict[str, Any]) -> bytes:
    head = compact(before)[:-1] + (b"," if before else b"")
    return head + b'"prediction":' + prediction_json(prediction) + b"," + compact(after)[1:]
