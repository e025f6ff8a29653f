"""The report of an audit: outcomes by feature, and examples of what was served wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from headrace.featurestore.audit.comparison import Outcome
from headrace.schemas.records import Prediction

_MOST_EXAMPLES = 20


@dataclass(frozen=True)
class Difference:
    """A served value, and the one that SQL recomputed in its place."""

    prediction_id: str
    feature: str
    outcome: Outcome  # "different" or "missing"
    served: Any
    recomputed: Any


@dataclass
class AuditReport:
    """How many values had which outcome.

    Attributes
    ----------
    counts
        By feature (``view__feature``), the number of values of each outcome.
    examples
        The first values that were different or missing.
    predictions
        How many were sampled.
    elsewhere
        By source, the number of rows whose key has events in partitions that the row does not follow from.
    records
        By source, the number of records that were ``applied``, ``late``, ``dead`` and ``marks``.
    """

    counts: dict[str, Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    examples: list[Difference] = field(default_factory=list)
    predictions: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    records: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no value was different or missing, and at least one was equal."""
        return not (self.total("different") or self.total("missing")) and self.total("equal") > 0

    def total(self, outcome: Outcome) -> int:
        """Count the values of one outcome over all features."""
        return sum(counts[outcome] for counts in self.counts.values())

    def add_elsewhere(self, source: str, rows: int) -> None:
        """Count rows of a source whose key has events in other partitions."""
        if rows:
            self.elsewhere[source] += rows

    def add(
        self, prediction: Prediction, feature: str, outcome: Outcome, served: Any, recomputed: Any
    ) -> None:
        """Count one value."""
        self.counts[feature][outcome] += 1
        if outcome in ("different", "missing") and len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(Difference(prediction.prediction_id, feature, outcome, served, recomputed))
