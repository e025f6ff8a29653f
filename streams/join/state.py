"""What the join remembers of a partition: its keys, its position, and their form in the changelog.

The changelog is compacted. A checkpoint writes the touched keys and, last, the position, in one transaction
with the outputs that follow from them. Before there were transactions, a crash could tear a checkpoint: so a
restore takes keys only up to the last position.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from headrace.schemas.encodings import Encoding
from headrace.schemas.marks import PartitionClocks
from headrace.schemas.records import Outcome, Prediction
from headrace.streams.join.wire_format import compact, prediction_json

Input = Literal["predictions", "outcomes"]
INPUTS: tuple[Input, Input] = ("predictions", "outcomes")
Fate = Literal["parked", "duplicate", "applied", "orphan", "late"]
POSITION = b"p"
_KEY = b"k"
_REACHED = "headrace.reached"
_REMEDY = "finish with the version that wrote it, or start a new project"
POSITIONS = Encoding(version=3, older=(1, 2), remedy=_REMEDY)
_TRANSACTIONS = 3  # the first version whose outputs were committed together with it
KEYS = Encoding(version=1, remedy=_REMEDY)


@dataclass(slots=True)
class Waiting:
    """A prediction: whole until it closes, afterwards only its id, so that a copy of it is recognised.

    Attributes
    ----------
    seen_ms
        The predictions clock at its arrival, itself included.
    examples
        How many examples of it are out, corrections included.
    label
        The label of the last of them.
    """

    prediction_id: str
    ts_ms: int
    seen_ms: int
    prediction: Prediction | None
    examples: int = 0
    label: float | None = None


@dataclass(slots=True)
class Arrived:
    """An outcome. `seen_ms` is the outcomes clock at its arrival, itself included; `missed` says that it came
    after a prediction of its key had closed."""

    outcome: Outcome
    offset: int
    seen_ms: int
    fate: Fate = "parked"
    missed: bool = False


@dataclass(slots=True)
class KeyState:
    """All that is remembered of one key, in order of arrival."""

    predictions: dict[str, Waiting] = field(default_factory=dict)
    outcomes: dict[str, Arrived] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.predictions or self.outcomes)


@dataclass(slots=True)
class Counts:
    """Every record in is counted out.

    ``predictions = matched + pending + negative + censored`` and
    ``outcomes = applied + duplicate + parked + orphan + late``. Besides: copies of predictions, predictions
    too old to be told from copies, and records that could not be read.
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
    prediction_duplicates: int = 0
    prediction_late: int = 0
    malformed: int = 0
    examples: int = 0

    def add(self, name: str, by: int = 1) -> None:
        setattr(self, name, getattr(self, name) + by)


@dataclass(frozen=True)
class Position:
    """Where a partition stands.

    Attributes
    ----------
    next_offsets
        Next offset of each input.
    clocks
        Greatest event time seen in each input, epoch milliseconds; None before the first.
    released_ms
        The clock up to which closings are out.
    marks
        State of the `PartitionClocks` of each input.
    ends
        Of a position from before transactions: the end offsets of its outputs (``examples``, ``closings``).
        None since: outputs and position are there together or not at all.
    """

    next_offsets: Mapping[Input, int]
    clocks: Mapping[Input, int | None]
    released_ms: int | None
    counts: Counts
    marks: Mapping[Input, Mapping[str, Any]]
    ends: Mapping[str, int] | None = None

    def encode(self) -> bytes:
        return compact(
            {
                **POSITIONS.stamp(),
                "next_offsets": self.next_offsets,
                "clocks": self.clocks,
                "released_ms": self.released_ms,
                "marks": self.marks,
                "counts": asdict(self.counts),
            }
        )

    @classmethod
    def decode(cls, value: bytes) -> Position:
        raw = json.loads(value)
        version = POSITIONS.check(raw, "join changelog: the position")
        unmarked = {name: PartitionClocks().encode() for name in INPUTS}
        return cls(
            raw["next_offsets"],
            raw["clocks"],
            raw["released_ms"],
            Counts(**raw["counts"]),
            raw.get("marks", unmarked),
            raw["ends"] if version < _TRANSACTIONS else None,
        )


@dataclass(frozen=True)
class Snapshot:
    """A restored partition. `torn` are keys that a checkpoint without a position had begun to write: they
    must be written again with the next one."""

    position: Position | None = None
    keys: Mapping[str, KeyState] = field(default_factory=dict)
    torn: frozenset[str] = frozenset()


def made_by(headers: Iterable[tuple[str, bytes | None]] | None) -> int | None:
    """The partition of the join that an output is of, by the header that outputs had before transactions."""
    for name, value in headers or ():
        if name == _REACHED and value is not None:
            return int(value.split(b":")[0])
    return None


def changelog_key(key: str) -> bytes:
    return _KEY + key.encode()


def encode_key(state: KeyState) -> bytes:
    """Compact JSON of one key."""
    predictions = b",".join(_prediction_row(waiting) for waiting in state.predictions.values())
    outcomes = [
        [a.outcome.outcome_id, a.outcome.label, a.outcome.ts_ms, a.offset, a.seen_ms, a.fate, a.missed]
        for a in state.outcomes.values()
    ]
    return b'{"v":%d,"p":[%b],"o":%b}' % (KEYS.version, predictions, compact(outcomes))


def _prediction_row(waiting: Waiting) -> bytes:
    w = waiting
    row = compact([w.prediction_id, w.ts_ms, w.seen_ms, w.examples, w.label])
    whole = b"null" if w.prediction is None else prediction_json(w.prediction)
    return row[:-1] + b"," + whole + b"]"


def decode_key(key: str, value: bytes) -> KeyState:
    raw = json.loads(value)
    KEYS.check(raw, f"join changelog: key {key!r}")
    state = KeyState()
    for prediction_id, ts_ms, seen_ms, examples, label, prediction in raw["p"]:
        whole = None if prediction is None else Prediction.model_validate(prediction)
        state.predictions[prediction_id] = Waiting(prediction_id, ts_ms, seen_ms, whole, examples, label)
    for outcome_id, label, ts_ms, *rest in raw["o"]:
        outcome = Outcome(outcome_id=outcome_id, key=key, label=label, ts_ms=ts_ms)
        state.outcomes[outcome_id] = Arrived(outcome, *rest)
    return state


def fold_changelog(records: Iterable[tuple[bytes, bytes | None]]) -> Snapshot:
    """The last whole checkpoint in a changelog partition, given as (key, value) in offset order."""
    position: Position | None = None
    whole: dict[str, bytes] = {}
    begun: dict[str, bytes | None] = {}
    for name, value in records:
        if name == POSITION and value is not None:
            position = Position.decode(value)
            for key, state in begun.items():
                if state is None:
                    whole.pop(key, None)
                else:
                    whole[key] = state
            begun.clear()
        elif name.startswith(_KEY):
            begun[name[len(_KEY) :].decode()] = value
    keys = {key: decode_key(key, value) for key, value in whole.items()}
    return Snapshot(position, keys, frozenset(begun))
