"""Outputs of the join in JSON, which hold the bytes of their prediction as it was read.

A prediction is written up to four times: as its state, example and closing. Its bytes were checked when it
was read, so they are copied rather than encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PrivateAttr
from pydantic_core import to_json

from headrace.schemas.records import Label, Prediction


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
    return to_json(value, inf_nan_mode="constants")


def prediction_json(prediction: Prediction) -> bytes:
    """Return a prediction as JSON: the bytes that it was read from, where there are any."""
    return prediction.raw if isinstance(prediction, LoggedPrediction) else prediction.to_bytes()


@dataclass(frozen=True)
class JoinedExample:
    """An `Example` whose prediction is JSON.

    Attributes
    ----------
    key
        Of the prediction.
    raw
        The prediction.
    """

    key: str
    raw: bytes
    example_id: str
    label: Label
    label_ts_ms: int

    @property
    def prediction(self) -> LoggedPrediction:
        """The prediction, read anew each time."""
        return LoggedPrediction.read(self.raw)

    def to_bytes(self) -> bytes:
        """Return the bytes of `Example.to_bytes`."""
        rest = {"label": self.label, "label_ts_ms": self.label_ts_ms, "weight": 1.0}
        return compact({"example_id": self.example_id})[:-1] + _with_prediction(b",", self.raw, rest)


@dataclass(frozen=True)
class JoinedClosing:
    """A `Closing` whose prediction is JSON; `key` and `raw` as in `JoinedExample`."""

    key: str
    raw: bytes
    status: Literal["matched", "negative", "censored"]
    label: Label | None
    label_ts_ms: int | None

    @property
    def prediction(self) -> LoggedPrediction:
        """The prediction, read anew each time."""
        return LoggedPrediction.read(self.raw)

    def to_bytes(self) -> bytes:
        """Return the bytes of `Closing.to_bytes`."""
        rest = {"status": self.status, "label": self.label, "label_ts_ms": self.label_ts_ms}
        return _with_prediction(b"{", self.raw, rest)


def _with_prediction(before: bytes, prediction: bytes, after: dict[str, Any]) -> bytes:
    return before + b'"prediction":' + prediction + b"," + compact(after)[1:]
