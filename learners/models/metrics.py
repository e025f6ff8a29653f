"""Progressive validation: metrics of predictions that a model made before it learned their labels."""

from __future__ import annotations

import json
import struct
from typing import Any, Protocol

from headrace.learners.models.binary_metrics import BinaryMetrics
from headrace.learners.models.category_metrics import CategoryMetrics
from headrace.learners.models.number_metrics import NumberMetrics
from headrace.schemas.domains import BINARY, DomainSpec, Score
from headrace.schemas.encodings import Encoding
from headrace.schemas.label_reader import Label

METRICS = Encoding(
    version=2,
    older=(1,),  # of binary targets alone, without a head
    remedy="run the trainer of that version, or stop all trainers and run `headrace retrain`",
)
_HEAD = struct.Struct("<qI")  # -1, where version 1 has a count; length of the JSON behind it


class Metrics(Protocol):
    """Metrics of the predictions of a target of one kind, exact and bounded in memory."""

    count: int

    def update(self, score: Score, label: Label) -> None:
        """Add a prediction and its label."""

    def summary(self) -> dict[str, Any]:
        """Return the metrics by name."""

    def to_bytes(self) -> bytes:
        """Encode the state."""


class ProgressiveValidation:
    """Keeps the metrics that follow from the kind of the target.

    Parameters
    ----------
    domain
        Of the target.

    Examples
    --------
    >>> validation = ProgressiveValidation()
    >>> for score, label in ((0.9, 1.0), (0.2, 0.0), (0.6, 0.0)):
    ...     validation.update(score, label)
    >>> summary = validation.summary()
    >>> summary["count"], round(summary["log_loss"], 4), summary["auc"]
    (3, 0.4149, 1.0)
    """

    def __init__(self, domain: DomainSpec = BINARY) -> None:
        self._domain = domain
        self._metrics = _metrics_of(domain)

    def update(self, score: Score, label: Label) -> None:
        """Add a prediction, made before its label was learned."""
        self._metrics.update(score, label)

    def summary(self) -> dict[str, Any]:
        """Return the metrics by name, and how many predictions they are over."""
        return self._metrics.summary()

    def to_bytes(self) -> bytes:
        """Encode the state, with its version and domain."""
        head = json.dumps({**METRICS.stamp(), "domain": self._domain.model_dump(mode="json")}).encode()
        return _HEAD.pack(-1, len(head)) + head + self._metrics.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> ProgressiveValidation:
        """Decode what `to_bytes` encoded.

        Raises
        ------
        StateError
            When it is damaged or has a version that is not read.
        """
        what = "the metrics of a model"
        with METRICS.reading(what):
            marker, length = _HEAD.unpack_from(data) if len(data) >= _HEAD.size else (0, 0)
            restored = cls()
            if marker != -1:
                restored._metrics = BinaryMetrics.from_bytes(data)
                return restored
            head, body = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
            raw = json.loads(head)
            METRICS.check(raw, what)
            restored._domain = domain = DomainSpec.model_validate(raw["domain"])
            restored._metrics = _restored(domain, body)
            return restored


def _metrics_of(domain: DomainSpec) -> Metrics:
    if domain.kind == "number":
        return NumberMetrics(domain)
    return CategoryMetrics(domain) if domain.kind == "category" else BinaryMetrics()


def _restored(domain: DomainSpec, body: bytes) -> Metrics:
    if domain.kind == "number":
        return NumberMetrics.from_bytes(body, domain)
    if domain.kind == "category":
        return CategoryMetrics.from_bytes(body, domain)
    return BinaryMetrics.from_bytes(body)
