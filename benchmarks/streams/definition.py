"""The workload's features as a Feast repository, compiled to Headrace's plan."""

from __future__ import annotations

import tempfile
import warnings
from functools import cache
from pathlib import Path
from string import Template

from benchmarks.streams.workload import ALLOWANCE_MS, SCHEMA, SCHEMA_ID, WINDOWS, Format, Window
from headrace.featurestore.compile.features import compile_features
from headrace.schemas.plan import Plan

VIEW = "account_payments"
COUNT, SUM = "payments", "amount"
_STORE = """project: bench
provider: local
registry: registry.db
online_store: {type: redis, connection_string: "127.0.0.1:1"}
offline_store: {type: file}
entity_key_serialization_version: 3
"""
_FEATURES = """from datetime import timedelta

from feast import Entity, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat, JsonFormat
from feast.types import Float64, Int64
from feast.value_type import ValueType

account = Entity(name="account", join_keys=["account"], value_type=ValueType.INT64)
payments = KafkaSource(
    name="payments",
    topic="payments",
    timestamp_field="event_ms",
    message_format=$FORMAT('''$SCHEMA'''),
    watermark_delay_threshold=timedelta(milliseconds=$ALLOWANCE),
    batch_source=FileSource(name="log", path="log.parquet", timestamp_field="event_timestamp"),
    tags={"headrace.key": "account"$ID},
)
window = dict(time_window=timedelta(milliseconds=$LENGTH), slide_interval=timedelta(milliseconds=$HOP))
account_payments = StreamFeatureView(
    name="$VIEW",
    source=payments,
    entities=[account],
    timestamp_field="event_ms",
    schema=[
        Field(name="account", dtype=Int64),
        Field(name="$COUNT", dtype=Int64),
        Field(name="$SUM", dtype=Float64),
    ],
    aggregations=[
        Aggregation(column="amount", function="count", name="$COUNT", **window),
        Aggregation(column="amount", function="sum", name="$SUM", **window),
    ],
    tags={"headrace.quantum": "amount=0.01"},
)
"""


@cache
def plan_for(topic: str, kind: Format, window: Window) -> Plan:
    """The plan of the workload's features over a topic."""
    length_ms, hop_ms = WINDOWS[window]
    values = {
        "FORMAT": {"avro": "AvroFormat", "json": "JsonFormat"}[kind],
        "SCHEMA": SCHEMA,
        "ALLOWANCE": ALLOWANCE_MS,
        "ID": {"avro": f', "headrace.schema_id": "{SCHEMA_ID}"', "json": ""}[kind],
        "LENGTH": length_ms,
        "HOP": hop_ms,
        "VIEW": VIEW,
        "COUNT": COUNT,
        "SUM": SUM,
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        (Path(folder) / "feature_store.yaml").write_text(_STORE)
        (Path(folder) / "features.py").write_text(Template(_FEATURES).substitute(values))
        plan = compile_features(Path(folder)).plan()
    (source,) = plan.sources
    return plan.model_copy(update={"sources": (source.model_copy(update={"topic": topic}),)})
