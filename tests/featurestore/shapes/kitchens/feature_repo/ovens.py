"""In the shape of feast-dev/feast-workshop, module 2, and the quickstart of feast-dev/feast.

The table is beside the repository, columns of times are features, and functions in pandas are of tables, of a
push source and of the request.
"""

from datetime import datetime, timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String, UnixTimestamp

oven = Entity(name="oven", join_keys=["oven_id"], value_type=ValueType.INT64)
bakes = FileSource(
    name="bakes_table",
    path="../data/bakes.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
live = PushSource(name="live_bakes", batch_source=bakes)
order = RequestSource(
    name="order", schema=[Field(name="loaves", dtype=Int64), Field(name="spare", dtype=Int64)]
)

heat = FeatureView(
    name="heat",
    entities=[oven],
    ttl=timedelta(days=300),
    schema=[
        Field(name="oven_id", dtype=Int64),
        Field(name="degrees", dtype=Float32),
        Field(name="created", dtype=UnixTimestamp),
        Field(name="event_timestamp", dtype=UnixTimestamp),
    ],
    online=True,
    source=bakes,
    tags={},
)
load = FeatureView(
    name="load",
    entities=[oven],
    ttl=timedelta(days=300),
    schema=[Field(name="trays", dtype=Int64), Field(name="place", dtype=String)],
    source=live,
    owner="bakery@example.org",
)


@on_demand_feature_view(
    sources=[heat, order],
    schema=[Field(name="per_loaf", dtype=Float64), Field(name="written_after_s", dtype=Float64)],
)
def warmth(inputs: pd.DataFrame) -> pd.DataFrame:
    df = pd.DataFrame()
    df["per_loaf"] = inputs["degrees"] / (inputs["loaves"] + inputs["spare"])
    created = pd.to_datetime(inputs["created"], utc=True)
    made = pd.to_datetime(inputs["event_timestamp"], utc=True)
    df["written_after_s"] = (created - made).dt.total_seconds()
    return df


@on_demand_feature_view(sources=[load], schema=[Field(name=f"place_{n}", dtype=String) for n in (1, 2)])
def areas(inputs: pd.DataFrame) -> pd.DataFrame:
    df = pd.DataFrame()
    for n in (1, 2):
        df[f"place_{n}"] = inputs["place"].str[:n].astype("string")
    return df


v1 = FeatureService(name="bread_v1", features=[heat[["degrees"]]])
v2 = FeatureService(name="bread_v2", features=[heat[["degrees"]], warmth])
v3 = FeatureService(name="bread_v3", features=[load, areas])
all_of_it = FeatureService(name="bread_v4", features=[heat, load, areas])
loaded_at = datetime.now()
