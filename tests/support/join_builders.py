"""Routers, predictions and outcomes for tests of the join, with only what matters to be named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from headrace.schemas.order_marks import order_headers
from headrace.schemas.records import Outcome, Prediction
from headrace.schemas.router_specs import PolicySpec, RouterSpec
from headrace.streams.join.changelog import POSITION_KEY, changelog_key, encode_key, encode_position
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.log.records import LogRecord, LogRecords

Records = list[tuple[bytes, bytes | None]]


def a_router(wait_ms: int, **more: Any) -> RouterSpec:
    """A router "delays" with one arm "m"; `more` overrides any of its fields."""
    fields = {
        "name": "delays",
        "arms": ("m",),
        "champion": "m",
        "target": "late",
        "unit": "flight",
        "entities": ("flight",),
        "request": (),
        "outcome": None,
        "wait_ms": wait_ms,
        "policy": PolicySpec(),
        "refresh_ms": 1000,
        "publish_ms": 0,
        "partitions": 1,
        "salt": "s",
        "default": 0.5,
    }
    return RouterSpec.model_validate(fields | more)


def a_prediction(prediction_id: str, key: str, ts_ms: int, **more: Any) -> Prediction:
    fields = {
        "prediction_id": prediction_id,
        "router": "delays",
        "key": key,
        "unit": key,
        "ts_ms": ts_ms,
        "entities": {"flight": key},
        "request": {"hour": 7},
        "features": {"v__mean": 1.5, "v__count": None},
        "provenance": {},
        "scores": {"m": 0.25},
        "versions": {"m": "1.0"},
        "epoch": 0,
        "propensities": {"m": 1.0},
        "chosen": "m",
        "propensity": 1.0,
        "plan_hash": "h",
    }
    return Prediction.model_validate(fields | more)


def an_outcome(outcome_id: str, key: str, ts_ms: int, label: float = 1.0) -> Outcome:
    return Outcome(outcome_id=outcome_id, key=key, label=label, ts_ms=ts_ms)


def checkpoint(join: PartitionJoin) -> Records:
    """What a join writes into its changelog: touched keys, then the position."""
    states = [(changelog_key(k), encode_key(s) if s else None) for k, s in join.take_touched().items()]
    return [*states, (POSITION_KEY, encode_position(join.position()))]


def move_order(partition: OwnedPartition) -> None:
    """Let a partition read order marks, as long as one of its inputs holds the other up."""
    while (lagging := partition.inputs.merge.lagging) is not None:
        source, order_ms = lagging
        offset = partition.inputs.next_offset(source)
        mark = LogRecord(offset, max(order_ms, 0), None, None, order_headers(order_ms))
        partition.feed(source, SimpleNamespace(value=LogRecords.of([mark])))
