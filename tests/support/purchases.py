"""A small plan with every aggregation and every kind of key, for tests of the stream engine."""

from __future__ import annotations

import json

from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan

EVENT_SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Purchase",
        "fields": [
            {"name": "user", "type": ["null", "long"]},
            {"name": "shop", "type": ["null", "string"]},
            {"name": "event_ms", "type": ["null", "long"]},
            {"name": "amount", "type": ["null", "double"]},
            {"name": "items", "type": ["null", "int"]},
            {"name": "note", "type": "string"},
        ],
    }
)
USER = FieldSpec(name="user", dtype="Int64")
SHOP = FieldSpec(name="shop", dtype="String")


COMMON = [
    ("count", "amount", "Int64", 1.0),
    ("sum", "amount", "Float64", 0.01),
    ("sum", "items", "Int64", 1.0),
    ("mean", "amount", "Float64", 0.01),
    ("min", "amount", "Float64", 1.0),
    ("max", "items", "Int64", 1.0),
    ("last", "amount", "Float64", 1.0),
    ("last", "items", "Int64", 1.0),
]
EVERY = [
    *COMMON,
    ("first", "amount", "Float64", 1.0),
    ("first", "items", "Int64", 1.0),
    ("first", "shop", "String", 1.0),
    ("last", "shop", "String", 1.0),
    ("var", "amount", "Float64", 0.01),
    ("std", "items", "Float64", 1.0),
    ("var_pop", "items", "Float64", 1.0),
    ("std_pop", "amount", "Float64", 0.01),
    ("count_distinct", "amount", "Int64", 1.0),
    ("count_distinct", "shop", "Int64", 1.0),
    ("p50", "amount", "Float64", 1.0),
    ("p90", "amount", "Float64", 1.0),
    ("p99", "items", "Float64", 1.0),
    ("last_3", "amount", "Array(Float64)", 1.0),
    ("last_2", "items", "Array(Int64)", 1.0),
    ("last_4", "shop", "Array(String)", 1.0),
]
LIFETIME = (0, 0)


def _aggregations(*windows: tuple[int, int], wanted: list = COMMON) -> tuple[AggregationSpec, ...]:
    return tuple(
        AggregationSpec(
            feature=f"{function}_{column}_{window_ms}_{hop_ms}",
            function=function,
            column=column,
            window_ms=window_ms,
            hop_ms=hop_ms,
            dtype=dtype,
            quantum=quantum,
            precision=6,
        )
        for window_ms, hop_ms in windows
        for function, column, dtype, quantum in wanted
    )


def purchases_plan(
    project: str = "shop",
    shards: int = 2,
    late_tiles: int = 2,
    max_future_ms: int = 1000,
    ever: tuple[str, ...] = (),
) -> Plan:
    """Views by user (the topic's key), by shop, and by both; those of `ever` have lifetime windows too."""
    lifetime = {name: [LIFETIME] for name in ever}
    source = SourceSpec(
        name="purchases",
        topic=f"{project}.purchases",
        reader_schema=EVENT_SCHEMA,
        writer_schemas={7: EVENT_SCHEMA},
        timestamp_field="event_ms",
        key_field="user",
        tile_ms=10,
        late_tiles=late_tiles,
        max_future_ms=max_future_ms,
        shards=shards,
    )
    views = (
        StreamViewSpec(
            name="by_user",
            source="purchases",
            join_keys=(USER,),
            aggregations=_aggregations((60, 10), (30, 30), *lifetime.get("by_user", []), wanted=EVERY),
        ),
        StreamViewSpec(
            name="by_shop",
            source="purchases",
            join_keys=(SHOP,),
            aggregations=_aggregations((40, 20), *lifetime.get("by_shop", []), wanted=EVERY),
        ),
        StreamViewSpec(
            name="by_both",
            source="purchases",
            join_keys=(SHOP, USER),
            aggregations=_aggregations((200, 50), *lifetime.get("by_both", []), wanted=EVERY),
        ),
    )
    return Plan(project=project, sources=(source,), stream_views=views)
