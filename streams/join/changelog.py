"""The join's changelog: a compacted topic with the state of every key, and the position of the partition.

A checkpoint writes the touched keys and, last, the position, in one transaction with the outputs that follow
from them. Before there were transactions, a crash could tear a checkpoint. So a restore takes keys only up to
the last position.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from zlib import crc32

from headrace.schemas.encodings import Encoding
from headrace.schemas.marks import PartitionClocks
from headrace.schemas.records import Outcome
from headrace.streams.join.state import (
    INPUTS,
    Counts,
    KeyState,
    OutcomeState,
    Position,
    PredictionState,
    Snapshot,
)
from headrace.streams.join.stored_types import StoredKey, StoredKey1, StoredOutcome, StoredPosition
from headrace.streams.join.wire_format import compact

_REMEDY = (
    "finish with the version that wrote it, or stop the joins and run `headrace reset --join ROUTER`, which "
    "says what it will do before it does it"
)
POSITIONS = Encoding(version=7, older=(1, 2, 3, 4, 5, 6), remedy=_REMEDY)
KEYS = Encoding(version=2, older=(1,), remedy=_REMEDY)
POSITION_KEY = b"p"
_STATE_PREFIX = b"k"
_STAMPED = b'{"v":%d,' % KEYS.version
_PREDICTIONS = b',"w":['  # never inside of what comes before it, where only arrays have strings
_TRANSACTIONS = 3  # the first version of a position whose outputs were committed together with it


def encode_position(position: Position) -> bytes:
    """Return a position as JSON without spaces."""
    return compact(
        {
            **POSITIONS.stamp(),
            "next_offsets": position.next_offsets,
            "clocks": position.clocks,
            "released_ms": position.released_ms,
            "marks": position.marks,
            "order": position.order,
            "counts": asdict(position.counts),
            "topics": position.topic_ids,
        }
    )


def decode_position(value: bytes) -> Position:
    """Inverse of `encode_position`; raises `StateError` for what is damaged or has a version not read."""
    with POSITIONS.reading("join changelog: the position"):
        return _decoded_position(value)


def _decoded_position(value: bytes) -> Position:
    raw = json.loads(value)
    version = POSITIONS.check(raw, "join changelog: the position")
    StoredPosition.model_validate(raw)
    unmarked = {name: PartitionClocks().encode() for name in INPUTS}
    return Position(
        raw["next_offsets"],
        raw["clocks"],
        raw["released_ms"],
        Counts(**raw["counts"]),
        raw.get("marks", unmarked),
        raw.get("order", raw["clocks"]),  # before there were order marks, nothing else moved it
        raw["ends"] if version < _TRANSACTIONS else None,
        raw.get("topics", {}),
    )


def changelog_key(key: str) -> bytes:
    """Return the key of the record that holds the state of a key.

    >>> changelog_key("user-7")
    b'kuser-7'
    """
    return _STATE_PREFIX + key.encode()


def encode_key(state: KeyState) -> bytes:
    """Return the state of a key as JSON, whose last field has its predictions as they were read.

    Rows of predictions have their lengths and checksums, so that they are cut out of it and not parsed.
    """
    predictions, outcomes = state.predictions.values(), state.outcomes.values()
    rows = {"p": list(map(_prediction_row, predictions)), "o": list(map(_outcome_row, outcomes))}
    whole = b",".join(one.prediction for one in predictions if one.prediction is not None)
    return _STAMPED + compact(rows)[1:-1] + _PREDICTIONS + whole + b"]}"


def _prediction_row(state: PredictionState) -> list[Any]:
    raw = state.prediction
    whole = None if raw is None else (len(raw), crc32(raw))
    return [state.prediction_id, state.ts_ms, state.arrival_clock_ms, state.examples, state.label, whole]


def _outcome_row(state: OutcomeState) -> list[Any]:
    outcome = state.outcome
    numbers = [state.offset, state.arrival_clock_ms, state.status, state.after_closing]
    return [outcome.outcome_id, outcome.label, outcome.ts_ms, *numbers]


def decode_key(key: str, value: bytes) -> KeyState:
    """Inverse of `encode_key`; raises `StateError` for what is damaged or has a version not read."""
    with KEYS.reading(f"join changelog: key {key!r}"):
        if value.startswith(_STAMPED):
            return _decoded_key(key, value)
        KEYS.check(json.loads(value), f"join changelog: key {key!r}")
        return _of_version_1(key, value)


def _decoded_key(key: str, value: bytes) -> KeyState:
    end = value.index(_PREDICTIONS)
    start = end + len(_PREDICTIONS)
    stored, state = StoredKey.model_validate_json(value[:end] + b"}"), KeyState()
    for prediction_id, ts_ms, arrival_clock_ms, examples, label, whole in stored.p:
        raw = None
        if whole is not None:
            raw = value[start : start + whole[0]]
            if (len(raw), crc32(raw)) != whole:
                raise ValueError(f"prediction {prediction_id!r} is not as it was written")
            start += len(raw) + 1
        state.predictions[prediction_id] = PredictionState(
            prediction_id, ts_ms, arrival_clock_ms, raw, examples, label
        )
    _take_outcomes(key, state, stored.o)
    return state


def _of_version_1(key: str, value: bytes) -> KeyState:
    stored, state = StoredKey1.model_validate_json(value), KeyState()
    for prediction_id, ts_ms, arrival_clock_ms, examples, label, prediction in stored.p:
        raw = None if prediction is None else prediction.to_bytes()
        state.predictions[prediction_id] = PredictionState(
            prediction_id, ts_ms, arrival_clock_ms, raw, examples, label
        )
    _take_outcomes(key, state, stored.o)
    return state


def _take_outcomes(key: str, state: KeyState, rows: list[StoredOutcome]) -> None:
    for outcome_id, label, ts_ms, offset, arrival_clock_ms, status, after_closing in rows:
        outcome = Outcome(outcome_id=outcome_id, key=key, label=label, ts_ms=ts_ms)
        state.outcomes[outcome_id] = OutcomeState(outcome, offset, arrival_clock_ms, status, after_closing)


def read_changelog(records: Iterable[tuple[bytes | None, bytes | None]]) -> Snapshot:
    """Return the last whole checkpoint of a changelog partition.

    Parameters
    ----------
    records
        Key and value of its records, in offset order.

    Raises
    ------
    StateError
        When a record is damaged or has a version that is not read.
    """
    position: Position | None = None
    whole: dict[str, bytes] = {}
    begun: dict[str, bytes | None] = {}
    for name, value in records:
        if name == POSITION_KEY and value is not None:
            position = decode_position(value)
            for key, state in begun.items():
                if state is None:
                    whole.pop(key, None)
                else:
                    whole[key] = state
            begun.clear()
        elif name is not None and name.startswith(_STATE_PREFIX):
            begun[name[len(_STATE_PREFIX) :].decode(errors="replace")] = value
    keys = {key: decode_key(key, whole.pop(key)) for key in list(whole)}  # its bytes are not held twice
    return Snapshot(position, keys, frozenset(begun))
