"""A plan with views of one and of two join keys, with a ttl and without, and a service of all of them."""

from __future__ import annotations

from typing import Any

from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan

TTL_MS = 60_000  # of view ``fresh``
USER, PLACE = FieldSpec(name="user", dtype="Int64"), FieldSpec(name="place", dtype="String")


def plan_of(project: str) -> Plan:
    def aggregation(feature: str, dtype: Any) -> AggregationSpec:
        return AggregationSpec(
            feature=feature, function="last", column="x", window_ms=1000, hop_ms=1000, dtype=dtype
        )

    features = (aggregation("n", "Int64"), aggregation("mean", "Float64"))
    info = (FieldSpec(name="label", dtype="String"), FieldSpec(name="since", dtype="UnixTimestamp"))
    return Plan(
        project=project,
        sources=(
            SourceSpec(
                name="s",
                topic="events",
                reader_schema="{}",
                writer_schemas={1: "{}"},
                timestamp_field="t",
                key_field="user",
                tile_ms=1000,
                late_tiles=0,
                max_future_ms=0,
                shards=0,
            ),
        ),
        stream_views=(
            StreamViewSpec(name="fresh", source="s", join_keys=(USER,), aggregations=features, ttl_ms=TTL_MS),
            StreamViewSpec(name="pair", source="s", join_keys=(PLACE, USER), aggregations=features),
        ),
        batch_views=(BatchViewSpec(name="info", join_keys=(USER,), features=info),),
        services=(
            FeatureServiceSpec(
                name="svc",
                features=(
                    FeatureRef(view="fresh", feature="mean"),
                    FeatureRef(view="info", feature="label"),
                    FeatureRef(view="fresh", feature="n"),
                    FeatureRef(view="pair", feature="n"),
                ),
            ),
        ),
    )
