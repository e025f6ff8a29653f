from datetime import timedelta

from feast import FeatureView, Field
from feast.types import Float32, Int64
from people import *  # noqa: F403
from tables import *  # noqa: F403

distances = FeatureView(
    name="distances",
    entities=[courier],  # noqa: F405
    ttl=timedelta(seconds=8_640_000_000),
    schema=[Field(name="courier_id", dtype=Int64), Field(name="kilometres", dtype=Float32)],
    online=True,
    source=live_shifts,  # noqa: F405
    tags={"stage": "live"},
    owner="dispatch@example.org",
)
punctuality = FeatureView(
    name="punctuality",
    description="How a shift went",
    entities=[courier],  # noqa: F405
    ttl=timedelta(seconds=8_640_000_000),
    schema=[
        Field(name="courier_id", dtype=Int64),
        Field(name="on_time", dtype=Float32),
        Field(name="parcels", dtype=Int64),
    ],
    online=True,
    source=shifts,  # noqa: F405
)
