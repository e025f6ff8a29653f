"""Made-up states of the join, and the records of its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.records import (
    Closing,
    Epoch,
    Example,
    Outcome,
    Prediction,
    Provenance,
    Record,
)
from headrace.schemas.router_specs import PolicySpec, RouterSpec
from headrace.streams.join.changelog import decode_key, decode_position, encode_key, encode_position
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import LoggedPrediction
from tests.support.golden.golden_file import Bytes

_TOPIC_IDS: Mapping[Input, str] = {"predictions": "id of predictions", "outcomes": "id of outcomes"}
_RECORDS: tuple[type[Record], ...] = (Prediction, Outcome, Example, Closing, Epoch, DeadLetter)


def a_router() -> RouterSpec:
    """A router of two arms with shares that do not depend on what they earn."""
    return RouterSpec(
        name="offers",
        arms=("a", "b"),
        champion="a",
        target="bought",
        unit="user",
        entities=("user",),
        request=(),
        outcome=None,
        wait_ms=1_000,
        reward="accuracy",
        policy=PolicySpec(kind="fixed", shares={"a": 0.75, "b": 0.25}),
        refresh_ms=500,
        publish_ms=0,
        partitions=1,
        salt="s",
        default=0.5,
    )


def a_prediction(prediction_id: str, ts_ms: int) -> Prediction:
    return Prediction(
        prediction_id=prediction_id,
        router="offers",
        key=f"key of {prediction_id}",
        unit="7",
        ts_ms=ts_ms,
        entities={"user": 7},
        request={"hour": 7, "text": "größe"},
        features={"v__mean": 1.5, "v__count": None, "v__known": True},
        provenance={"v": Provenance(partition=1, offset=9, as_of_ms=990)},
        scores={"a": 0.25, "b": None},
        versions={"a": "1.0", "b": "2.3"},
        epoch=4,
        propensities={"a": 0.75, "b": 0.25},
        chosen="a",
        propensity=0.75,
        plan_hash="h",
    )


def closing(prediction_id: str, ts_ms: int, label: float) -> Closing:
    return Closing(
        prediction=a_prediction(prediction_id, ts_ms), status="matched", label=label, label_ts_ms=ts_ms + 10
    )


def _outcome(outcome_id: str, prediction_id: str, ts_ms: int) -> Outcome:
    return Outcome(outcome_id=outcome_id, key=f"key of {prediction_id}", label=0.5, ts_ms=ts_ms)


def _join() -> PartitionJoin:
    """One key that is matched, one with an outcome alone, one that waits for its outcome."""
    join = PartitionJoin(a_router())
    join.topic_ids = _TOPIC_IDS
    join.order = {"predictions": 1_200, "outcomes": 1_150}
    join.predict(LoggedPrediction.read(a_prediction("p1", 1_000).to_bytes()), 0)
    join.predict(LoggedPrediction.read(a_prediction("p2", 1_200).to_bytes()), 1)
    join.outcome(_outcome("o1", "p1", 1_100), 0)
    join.outcome(_outcome("o3", "p3", 1_150), 1)
    return join


def write_position() -> Bytes:
    return [encode_position(_join().position())]


def read_position(found: Bytes) -> Bytes:
    position = decode_position(found[0])
    return [encode_position(replace(position, topic_ids=position.topic_ids or _TOPIC_IDS))]  # 6 has them


def write_keys() -> Bytes:
    touched = _join().take_touched()
    return [part for key, state in touched.items() if state for part in (key.encode(), encode_key(state))]


def read_keys(found: Bytes) -> Bytes:
    pairs = zip(found[::2], found[1::2], strict=True)
    return [part for key, raw in pairs for part in (key, encode_key(decode_key(key.decode(), raw)))]


def write_records() -> Bytes:
    example = Example(
        example_id="p1#1", prediction=a_prediction("p1", 1_000), label=1.0, label_ts_ms=1_100, weight=0.5
    )
    epoch = Epoch(
        router="offers",
        epoch=4,
        ts_ms=2_000,
        offset=11,
        propensities={"a": 0.75, "b": 0.25},
        posteriors={"a": {"count": 2.0, "mean": 0.5}},
        plan_hash="h",
    )
    dead_letter = DeadLetter(
        topic="web.clicks",
        partition=0,
        offset=5,
        timestamp_ms=2_200,
        reason="no record",
        kind="malformed",
        key="MQ==",
        value=None,
        headers=(("h", None), ("i", "MQ==")),
        definition="d",
        feature="by_user:sum",
        entity=(7, "größe"),
        window_end_ms=3_000,
    )
    prediction, outcome = a_prediction("p1", 1_000), _outcome("o1", "p1", 1_100)
    records: list[Record] = [prediction, outcome, example, closing("p1", 1_000, 1.0), epoch, dead_letter]
    return [record.to_bytes() for record in records]


def read_records(found: Bytes) -> Bytes:
    return [kind.model_validate_json(raw).to_bytes() for kind, raw in zip(_RECORDS, found, strict=True)]
