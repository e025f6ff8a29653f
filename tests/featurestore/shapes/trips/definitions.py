"""In the shape of the integration tests of feast-dev/feast: a view of places, read by two columns.

Besides, views of two entities and of none, a mapped column, and functions in python of one row and of many.
"""

from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

stop = Entity(name="stop", join_keys=["stop_id"], value_type=ValueType.INT64)
line = Entity(name="line", join_keys=["line"], value_type=ValueType.STRING)

weather = FeatureView(
    name="weather",
    entities=[stop],
    ttl=timedelta(days=7),
    schema=[Field(name="degrees", dtype=Float64), Field(name="rain", dtype=Bool)],
    source=FileSource(
        name="weather_table",
        path="data/weather.parquet",
        timestamp_field="measured_at",
        created_timestamp_column="created",
        field_mapping={"temp": "degrees"},
    ),
)
delays = FeatureView(
    name="delays",
    entities=[stop, line],
    schema=[
        Field(name="stop_id", dtype=Int64),
        Field(name="line", dtype=String),
        Field(name="minutes", dtype=Float64),
    ],
    source=FileSource(name="delays_table", path="data/delays", timestamp_field="at"),
)
network = FeatureView(
    name="network",
    schema=[Field(name="on_strike", dtype=Bool), Field(name="fare", dtype=Float64)],
    source=FileSource(name="network_table", path="data/network.parquet", timestamp_field="at"),
)
ticket = RequestSource(name="ticket", schema=[Field(name="zones", dtype=Int64)])


@on_demand_feature_view(
    sources=[network, ticket], schema=[Field(name="price", dtype=Float64)], mode="python", singleton=True
)
def price(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"price": inputs["fare"] * inputs["zones"]}


@on_demand_feature_view(sources=[weather], schema=[Field(name="icy", dtype=Bool)], mode="python")
def ice(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {"icy": [degrees is not None and degrees < 0 for degrees in inputs["degrees"]]}


ride = FeatureService(
    name="ride",
    features=[
        weather.with_name("from").with_join_key_map({"stop_id": "origin_id"}),
        weather.with_name("to").with_join_key_map({"stop_id": "destination_id"})[["degrees"]],
        network,
    ],
)
here = FeatureService(name="here", features=[weather, delays, ice], tags={"stage": "live"})
fares = FeatureService(name="fares", features=[network[["on_strike"]], price])
