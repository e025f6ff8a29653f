"""In the shape of feast-custom-offline-store-demo, -online-store-demo and -provider-demo of feast-dev.

The classes that ``feature_store.yaml`` names are in files of the repository, a view has a function of its
own, and columns are called as warehouses call them.
"""

from datetime import timedelta
from typing import Any

from feast import BatchFeatureView, Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float32, String
from feast.value_type import ValueType

customer = Entity(
    name="customer", join_keys=["O_CUSTKEY"], value_type=ValueType.INT64, description="Who ordered"
)
orders = FileSource(name="orders", path="data/orders.parquet", timestamp_field="O_ORDERDATE")


def as_they_are(inputs: Any) -> Any:
    return inputs


order_stats = BatchFeatureView(
    name="order_stats",
    mode="python",
    entities=[customer],
    schema=[Field(name="O_TOTALPRICE", dtype=Float32), Field(name="O_ORDERSTATUS", dtype=String)],
    udf=as_they_are,
    online=True,
    source=orders,
)
last_order = FeatureView(
    name="last_order",
    entities=[customer],
    ttl=timedelta(weeks=52),
    schema=[Field(name="O_TOTALPRICE", dtype=Float32), Field(name="o_totalprice", dtype=Float32)],
    source=orders,
)
scoring = FeatureService(name="scoring", features=[last_order])
stats = FeatureService(name="stats", features=[order_stats])
