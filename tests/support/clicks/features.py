"""The smallest project with everything in it: a stream view, a batch view, two learners and a router."""

import json
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat
from feast.types import Int64, String
from feast.value_type import ValueType

DATA = Path(__file__).resolve().parent / "data"
CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "event_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": "long"},
    ],
}

user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)

clicks = KafkaSource(
    name="clicks",
    topic="clicks",
    timestamp_field="event_ms",
    message_format=AvroFormat(json.dumps(CLICK)),
    watermark_delay_threshold=timedelta(minutes=5),
    batch_source=FileSource(
        name="clicks_log", path=str(DATA / "clicks.parquet"), timestamp_field="event_timestamp"
    ),
    tags={"headrace.key": "user"},
)

user_clicks = StreamFeatureView(
    name="user_clicks",
    source=clicks,
    entities=[user],
    timestamp_field="event_ms",
    schema=[
        Field(name="user", dtype=String),
        Field(name="clicks_1h", dtype=Int64),
        Field(name="spent_1h", dtype=Int64),
    ],
    aggregations=[
        Aggregation(
            column="price", function="count", time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5), name="clicks_1h",
        ),
        Aggregation(
            column="price", function="sum", time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5), name="spent_1h",
        ),
    ],
)  # fmt: skip

user_profile = FeatureView(
    name="user_profile",
    entities=[user],
    schema=[Field(name="user", dtype=String), Field(name="age", dtype=Int64)],
    source=FileSource(
        name="profiles", path=str(DATA / "profiles.parquet"), timestamp_field="event_timestamp"
    ),
)

everything = FeatureService(name="everything", features=[user_clicks, user_profile])
