"""A log's records, and the online rows that the oracle expects of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from headrace.schemas.avro import encode_confluent
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord
from tests.support.purchases import EVENT_SCHEMA
from tests.support.window_oracle import (
    Judged,
    OracleEvent,
    OracleFeature,
    OracleRules,
    RowUdf,
    features_at,
    rows_of,
)

NO_UDFS: Mapping[str, RowUdf] = MappingProxyType({})


def record_of(event: OracleEvent) -> LogRecord:
    if event.mark_ms is not None:
        return LogRecord(event.offset, event.appended_ms, None, None, mark_headers(event.mark_ms))
    if event.broken:
        return LogRecord(event.offset, event.appended_ms, b"k", b"\x00\x00\x00\x00\x07\xff")
    value = encode_confluent(EVENT_SCHEMA, 7, {**event.fields, "note": "n"})
    return LogRecord(event.offset, event.appended_ms, b"k", value)


def oracle_features(plan: Plan, view: str) -> list[OracleFeature]:
    return [
        OracleFeature(
            a.feature,
            a.function,
            a.column,
            a.window_ms,
            a.hop_ms,
            round(1 / a.quantum),
            a.dtype,
            a.precision,
        )
        for a in plan.stream_view(view).aggregations
    ]


def expected_rows(
    plan: Plan, judged: list[Judged], udfs: Mapping[str, RowUdf] = NO_UDFS
) -> dict[tuple[str, tuple], dict[str, Any]]:
    """What every online row must be: views by the topic's key per partition, the others over all."""
    rows: dict[tuple[str, tuple], dict[str, Any]] = {}
    for one in judged:
        if one.clock_ms is not None:
            accepted = [(t, (offset,), fields) for t, offset, fields in one.accepted]
            accepted = rows_of(accepted, udfs.get("by_user"))
            found = features_at(accepted, one.clock_ms, ("user",), oracle_features(plan, "by_user"))
            rows.update({("by_user", key): values for key, values in found.items()})
    everything = [
        (t, (offset, p), fields) for p, one in enumerate(judged) for t, offset, fields in one.accepted
    ]
    clocks = [one.clock_ms for one in judged if one.clock_ms is not None]
    for view, keys in (("by_shop", ("shop",)), ("by_both", ("shop", "user"))):
        if clocks:
            accepted = rows_of(everything, udfs.get(view))
            found = features_at(accepted, max(clocks), keys, oracle_features(plan, view))
            rows.update({(view, key): values for key, values in found.items()})
    return rows


def is_empty(values: dict[str, Any]) -> bool:
    return all(value is None or (value == 0 and name.startswith("count")) for name, value in values.items())


def assert_rows_equal(online: dict, expected: dict) -> None:
    """Equal to the last bit; a key with nothing left in any window may be absent."""
    for key in online.keys() | expected.keys():
        got, want = online.get(key), expected.get(key)
        if got is None:
            assert is_empty(want), f"{key}: no row, expected {want}"
            continue
        assert want is not None, f"{key}: unexpected row {got}"
        for name, value in want.items():
            assert same(got[name], value), f"{key} {name}: {got[name]} != {value}"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one is None or other is None or isinstance(one, str):
        return one == other
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def rules_of(plan: Plan, udfs: Mapping[str, RowUdf] = NO_UDFS) -> OracleRules:
    source = plan.sources[0]
    keys, every = ("user", "shop"), tuple(udfs.values())
    return OracleRules("event_ms", source.tile_ms, source.late_tiles, source.max_future_ms, keys, every)
