"""In the shape of kafka_spark_demo of feast-dev/feast and of j-wine/feast-traffic-lights: views of a topic.

Events are JSON by Spark's text. One view aggregates, one has a function of another engine, one is a feature
view on the topic, whose rows come from the batch source, and one is of a table.
"""

from datetime import timedelta
from typing import Any

import pandas as pd
from data_sources import *  # noqa: F403
from entities import *  # noqa: F403
from feast import FeatureService, FeatureView, Field
from feast.aggregation import Aggregation
from feast.stream_feature_view import stream_feature_view
from feast.types import Float64, Int64, String


@stream_feature_view(
    entities=[meter],  # noqa: F405
    ttl=timedelta(days=140),
    mode="pandas",
    schema=[
        Field(name="readings_7d", dtype=Int64),
        Field(name="watt_hours_7d", dtype=Float64),
        Field(name="last_phase", dtype=String),
    ],
    timestamp_field="read_at",
    online=True,
    source=readings,  # noqa: F405
    aggregations=[
        Aggregation(
            column="kwh",
            function="count",
            time_window=timedelta(days=7),
            slide_interval=timedelta(days=1),
            name="readings_7d",
        ),
        Aggregation(
            column="watt_hours",
            function="sum",
            time_window=timedelta(days=7),
            slide_interval=timedelta(days=1),
            name="watt_hours_7d",
        ),
        Aggregation(
            column="phase",
            function="last",
            time_window=timedelta(days=7),
            slide_interval=timedelta(days=1),
            name="last_phase",
        ),
    ],
    tags={},
)
def consumption(df: pd.DataFrame) -> pd.DataFrame:
    df["watt_hours"] = df["kwh"] * 1000
    return df


@stream_feature_view(
    entities=[meter],  # noqa: F405
    ttl=timedelta(days=140),
    mode="python",
    schema=[Field(name="most_watts", dtype=Float64)],
    timestamp_field="read_at",
    online=True,
    source=readings,  # noqa: F405
    aggregations=[
        Aggregation(column="watts", function="max", time_window=timedelta(days=1), name="most_watts")
    ],
)
def power(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {**rows, "watts": [kwh * 4000.0 for kwh in rows["kwh"]]}


last_reading = FeatureView(
    name="last_reading",
    entities=[meter],  # noqa: F405
    schema=[Field(name="kwh", dtype=Float64), Field(name="phase", dtype=String)],
    source=readings,  # noqa: F405
)
houses = FeatureView(
    name="houses",
    description="Who lives there",
    entities=[meter],  # noqa: F405
    ttl=timedelta(days=3650),
    schema=[Field(name="people", dtype=Int64)],
    online=True,
    source=houses_table,  # noqa: F405
)
bill = FeatureService(name="bill", features=[consumption, houses, last_reading])
grid = FeatureService(name="grid", features=[houses, power])
