"""Metrics of categories: log loss, accuracy and macro F1, over all predictions."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

# isort: split
from river import metrics

from headrace.learners.models.binary_metrics import CLIP
from headrace.learners.models.losses import likeliest
from headrace.schemas.domains import DomainSpec, Score
from headrace.schemas.label_reader import Label

_HEAD = struct.Struct("<qd")  # count, sum of losses
_CELL = np.dtype([("label", "<i4"), ("predicted", "<i4"), ("count", "<i8")])


class CategoryMetrics:
    """Keeps the sum of log losses, and the confusion matrix for river's `Accuracy` and `MacroF1`.

    Parameters
    ----------
    domain
        Its classes.

    Examples
    --------
    >>> reasons = CategoryMetrics(DomainSpec(kind="category", classes=("carrier", "weather")))
    >>> for share, label in ((0.75, "carrier"), (0.6, "weather")):
    ...     reasons.update({"carrier": share, "weather": 1 - share}, label)
    >>> reasons.summary()["accuracy"], round(reasons.summary()["macro_f1"], 3)
    (0.5, 0.333)
    """

    def __init__(self, domain: DomainSpec) -> None:
        self._classes = domain.classes
        self.count = 0
        self.loss = 0.0
        self._matrix = metrics.ConfusionMatrix()

    def update(self, score: Score, label: Label) -> None:
        """Add a prediction, a distribution, and its label."""
        assert not isinstance(score, float | int)
        assert isinstance(label, str)
        self.count += 1
        self.loss -= math.log(min(1.0 - CLIP, max(CLIP, score.get(label, 0.0))))
        self._matrix.update(label, likeliest(score))

    def summary(self) -> dict[str, Any]:
        """Return ``count``, mean ``log_loss``, ``accuracy`` and ``macro_f1``; None while there is nothing.

        ``macro_f1`` is the mean of F1 over the classes that were labels or predicted. Shares are kept in
        [1e-6, 1 - 1e-6] for the loss.
        """
        if not self.count:
            return {"count": 0, "log_loss": None, "accuracy": None, "macro_f1": None}
        return {
            "count": self.count,
            "log_loss": self.loss / self.count,
            "accuracy": metrics.Accuracy(self._matrix).get(),
            "macro_f1": metrics.MacroF1(self._matrix).get(),
        }

    def to_bytes(self) -> bytes:
        """Encode the state: count and loss, then each cell of the matrix that is not 0, by class numbers."""
        numbers = list(enumerate(self._classes))
        cells = [
            (row, column, int(self._matrix[label][predicted]))
            for row, label in numbers
            for column, predicted in numbers
            if self._matrix[label][predicted]
        ]
        return _HEAD.pack(self.count, self.loss) + np.array(cells, dtype=_CELL).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, domain: DomainSpec) -> CategoryMetrics:
        """Decode what `to_bytes` encoded."""
        restored, classes = cls(domain), domain.classes
        restored.count, restored.loss = _HEAD.unpack_from(data)
        for label, predicted, count in np.frombuffer(data, _CELL, offset=_HEAD.size).tolist():
            restored._matrix.update(classes[label], classes[predicted], count)
        return restored
