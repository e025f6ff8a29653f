"""State of a partition of the join: the predictions and outcomes of its keys, and its position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.schemas.records import Outcome

Input = Literal["predictions", "outcomes"]
INPUTS: tuple[Input, Input] = ("predictions", "outcomes")
OutcomeStatus = Literal["parked", "duplicate", "applied", "orphan", "late"]


@dataclass(slots=True)
class PredictionState:
    """A prediction: whole until it closes, afterwards only its id, so that a copy of it is recognised.

    Attributes
    ----------
    prediction
        Its JSON as it was read, which takes far less than what it says as objects.
    ts_ms
        Event time, epoch milliseconds.
    arrival_clock_ms
        Clock of the predictions at its arrival, itself included.
    examples
        How many examples of it are out, corrections included.
    label
        Label of the last of them.
    """

    prediction_id: str
    ts_ms: int
    arrival_clock_ms: int
    prediction: bytes | None
    examples: int = 0
    label: float | str | None = None


@dataclass(slots=True)
class OutcomeState:
    """An outcome.

    Attributes
    ----------
    offset
        Its offset in the outcomes topic.
    arrival_clock_ms
        Clock of the outcomes at its arrival, itself included.
    after_closing
        Whether it came after a prediction of its key had closed.
    """

    outcome: Outcome
    offset: int
    arrival_clock_ms: int
    status: OutcomeStatus = "parked"
    after_closing: bool = False


@dataclass(slots=True)
class KeyState:
    """Predictions and outcomes of one key, by id, in order of arrival.

    `prediction_bytes` and `outcome_bytes` are as `KeyQuota` counts them; None where it has to count anew.
    """

    predictions: dict[str, PredictionState] = field(default_factory=dict)
    outcomes: dict[str, OutcomeState] = field(default_factory=dict)
    prediction_bytes: int | None = field(default=None, compare=False)
    outcome_bytes: int | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return bool(self.predictions or self.outcomes)


@dataclass(slots=True)
class Counts:
    """Every record in is counted out.

    ``predictions = matched + pending + negative + censored`` and
    ``outcomes = applied + duplicate + parked + orphan + late + over_quota``. Besides: copies of predictions,
    predictions too old to be told from copies, those above the quota of their key, and records that were
    refused.
    """

    predictions: int = 0
    matched: int = 0
    pending: int = 0
    negative: int = 0
    censored: int = 0
    outcomes: int = 0
    applied: int = 0
    duplicate: int = 0
    parked: int = 0
    orphan: int = 0
    late: int = 0
    over_quota: int = 0
    prediction_duplicates: int = 0
    prediction_late: int = 0
    prediction_over_quota: int = 0
    malformed: int = 0
    examples: int = 0

    def add(self, name: str, by: int = 1) -> None:
        """Add to the count of that name."""
        setattr(self, name, getattr(self, name) + by)


@dataclass(frozen=True)
class Position:
    """How far a partition is.

    Attributes
    ----------
    next_offsets
        Next offset of each input.
    clocks
        Greatest event time seen in each input, epoch milliseconds; None before the first.
    released_ms
        Clock up to which closings are out; None before the first.
    counts
        What became of the records before `next_offsets`.
    marks
        State of the `PartitionClocks` of each input.
    order
        Order clock of each input, epoch milliseconds; None before its first time.
    ends
        Of a position from before transactions: the end offsets of its outputs (``examples``, ``closings``).
        None since: outputs and position are there together or not at all.
    topic_ids
        The ids that Kafka has given the topics of the inputs; empty where the broker gives none, and in
        positions from before they were kept.
    """

    next_offsets: Mapping[Input, int]
    clocks: Mapping[Input, int | None]
    released_ms: int | None
    counts: Counts
    marks: Mapping[Input, Mapping[str, Any]]
    order: Mapping[Input, int | None]
    ends: Mapping[str, int] | None = None
    topic_ids: Mapping[Input, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A partition as of a checkpoint.

    Attributes
    ----------
    position
        None before the first checkpoint.
    keys
        State of every key.
    torn
        Keys that a later checkpoint, which has no position, had begun to write; the next one must write them.
    """

    position: Position | None = None
    keys: Mapping[str, KeyState] = field(default_factory=dict)
    torn: frozenset[str] = frozenset()
