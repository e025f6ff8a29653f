"""A Feast repository about carriers and their delays: its text, and the table of its batch view."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

DEFINITIONS = """
import json
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat
from feast.types import Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

EVENT = {
    "type": "record",
    "name": "Departure",
    "fields": [
        {"name": "carrier", "type": "string"},
        {"name": "origin", "type": "string"},
        {"name": "flight", "type": "int"},
        {"name": "dep_delay", "type": ["null", "double"], "default": None},
        {"name": "seats", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "departed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}

carrier = Entity(name="carrier", value_type=ValueType.STRING)
origin = Entity(name="origin", value_type=ValueType.STRING)

departures = KafkaSource(
    name="departures",
    topic="flights.departures",
    timestamp_field="departed_at",
    message_format=AvroFormat(json.dumps(EVENT)),
    watermark_delay_threshold=timedelta(minutes=12),
    batch_source=FileSource(
        name="departures_log", path="data/log/carrier_delays", timestamp_field="event_timestamp"
    ),
    tags={"headrace.key": "carrier", "headrace.schema_id": "7"},
)

carrier_delays = StreamFeatureView(
    name="carrier_delays",
    entities=[carrier],
    ttl=timedelta(days=1),
    source=departures,
    timestamp_field="departed_at",
    schema=[
        Field(name="carrier", dtype=String),
        Field(name="n_1h", dtype=Int64),
        Field(name="mean_1h", dtype=Float64),
        Field(name="seats_max_1d", dtype=Int64),
    ],
    aggregations=[
        Aggregation(
            column="flight",
            function="count",
            time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5),
            name="n_1h",
        ),
        Aggregation(
            column="dep_delay",
            function="mean",
            time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=15),
            name="mean_1h",
        ),
        Aggregation(column="seats", function="max", time_window=timedelta(days=1), name="seats_max_1d"),
    ],
    tags={"headrace.quantum": "dep_delay=0.01"},
)

airlines = FeatureView(
    name="airlines",
    entities=[carrier],
    ttl=timedelta(0),
    schema=[
        Field(name="carrier", dtype=String),
        Field(name="full_name", dtype=String),
        Field(name="fleet", dtype=Int32),
        Field(name="share", dtype=Float32),
        Field(name="founded", dtype=UnixTimestamp),
        Field(name="alliance", dtype=Bool),
    ],
    source=FileSource(name="airlines_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)

service = FeatureService(name="delays", features=[carrier_delays, airlines[["fleet", "full_name"]]])
"""

ON_DEMAND = """
from feast import RequestSource
from feast.on_demand_feature_view import on_demand_feature_view

seat = RequestSource(name="seat", schema=[Field(name="row", dtype=Int64)])


@on_demand_feature_view(
    sources=[carrier_delays[["mean_1h"]], airlines[["fleet"]], seat],
    schema=[Field(name="per_plane", dtype=Float64), Field(name="in_front", dtype=Bool)],
    mode="pandas",
    owner="ada@example.org",
)
def shares(df):
    return df.assign(per_plane=df["mean_1h"] / df["fleet"], in_front=df["row"] < 10)


computed = FeatureService(name="computed", features=[shares])
"""


DAY = datetime(2013, 1, 1, tzinfo=UTC)
# The table of the batch view.
AIRLINES = {
    "carrier": pa.array(["UA", "AA", "UA", "ZZ"]),
    "full_name": pa.array(["United", "American é", "United Air Lines", None]),
    "fleet": pa.array([1, 2, 3, None], pa.int32()),
    "share": pa.array([0.1, 0.25, float("nan"), 0.5], pa.float32()),
    "founded": pa.array([datetime(1926, 4, 6), datetime(1930, 1, 1), datetime(1926, 4, 6), None]),
    "alliance": pa.array([True, False, True, None]),
    "valid_from": pa.array([DAY, DAY, DAY.replace(month=6), DAY], pa.timestamp("us", "UTC")),
}
