"""In the shape of java-demo and python-helm-demo of feast-dev/feast, as they grew.

An entity whose key is its name, a table without a name, a schema that is left to the table, keys of two
entities, functions of the request.
"""

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_source import RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String

machine_hours = FileSource(
    path="data/machines.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
)
machine = Entity(name="machine_id", value_type=ValueType.INT64, description="machine")
part = Entity(name="part_no", value_type=ValueType.STRING)
maker = Entity(name="maker", join_keys=["maker"])

machine_view = FeatureView(
    name="machine_hours",
    entities=[machine],
    ttl=timedelta(seconds=86_400_000),
    schema=[
        Field(name="wear", dtype=Float32),
        Field(name="jobs", dtype=Int64),
        Field(name="label", dtype=String),
    ],
    online=True,
    source=machine_hours,
    tags={},
)
inferred = FeatureView(name="inferred", entities=[machine], source=machine_hours)
part_view = FeatureView(
    name="part_stock",
    entities=[part, maker],
    schema=[
        Field(name="part_no", dtype=String),
        Field(name="maker", dtype=String),
        Field(name="stock", dtype=Int64),
    ],
    source=FileSource(name="stock", path="data/parts.parquet", timestamp_field="counted_at"),
)
job = RequestSource(name="job", schema=[Field(name="size", dtype=Int64), Field(name="size_2", dtype=Int64)])


@on_demand_feature_view(
    sources=[machine_view, job],
    schema=[Field(name="wear_after", dtype=Float64), Field(name="wear_after_2", dtype=Float64)],
)
def worn(inputs: pd.DataFrame) -> pd.DataFrame:
    df = pd.DataFrame()
    df["wear_after"] = inputs["wear"] + inputs["size"]
    df["wear_after_2"] = inputs["wear"] + inputs["size_2"]
    return df


machines = FeatureService(name="machines", features=[machine_view, worn])
guessed = FeatureService(name="guessed", features=[inferred])
stock = FeatureService(name="stock", features=[part_view])
