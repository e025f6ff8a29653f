"""Two event topics, in JSON and in Avro, with views that read them directly and behind a shuffle."""

import json
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat, JsonFormat
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

DATA = Path(__file__).resolve().parent / "data"
EVENT_MS = {"name": "event_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}}
PRICE = {"name": "price", "type": ["null", "double"]}
CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [{"name": "user", "type": "string"}, {"name": "page", "type": "string"}, EVENT_MS, PRICE],
}
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "number", "type": "string"},
        {"name": "paid", "type": ["null", "boolean"]},
        EVENT_MS,
        PRICE,
    ],
}

user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
page = Entity(name="page", join_keys=["page"], value_type=ValueType.STRING)


def table(name):
    return FileSource(name=name, path=str(DATA / f"{name}.parquet"), timestamp_field="event_timestamp")


clicks = KafkaSource(
    name="clicks",
    topic="PROJECT.clicks",
    timestamp_field="event_ms",
    message_format=JsonFormat(json.dumps(CLICK)),
    watermark_delay_threshold=timedelta(minutes=10),
    batch_source=table("clicks_log"),
    tags={
        "headrace.key": "user",
        "headrace.shards": "2",
        "headrace.expect.price": "min=0 max=1000 quarantine",
        "headrace.expect.event_ms": "fresh=60",
    },
)
orders = KafkaSource(
    name="orders",
    topic="PROJECT.orders",
    timestamp_field="event_ms",
    message_format=AvroFormat(json.dumps(ORDER)),
    watermark_delay_threshold=timedelta(minutes=10),
    batch_source=table("orders_log"),
    tags={"headrace.shards": "2", "headrace.expect.price": "nulls=0.1"},
)


def counted(name, source, entity):
    windows = {"time_window": timedelta(hours=1), "slide_interval": timedelta(minutes=5)}
    return StreamFeatureView(
        name=name,
        source=source,
        entities=[entity],
        timestamp_field="event_ms",
        schema=[
            Field(name=entity.join_key, dtype=String),
            Field(name="count_1h", dtype=Int64),
            Field(name="sum_1h", dtype=Float64),
            Field(name="users_1h", dtype=Int64),
        ],
        aggregations=[
            Aggregation(column="price", function="count", name="count_1h", **windows),
            Aggregation(column="price", function="sum", name="sum_1h", **windows),
            Aggregation(column="user", function="count_distinct", name="users_1h", **windows),
        ],
    )


user_clicks = counted("user_clicks", clicks, user)
page_clicks = counted("page_clicks", clicks, page)
user_orders = counted("user_orders", orders, user)

everything = FeatureService(name="everything", features=[user_clicks, user_orders])
