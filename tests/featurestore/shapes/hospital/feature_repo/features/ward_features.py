from datetime import timedelta

from data_sources import stays
from entities import patient, ward
from feast import FeatureView, Field
from feast.types import Float64, Int64

ward_load = FeatureView(
    name="ward_load",
    entities=[ward],
    ttl=timedelta(days=30),
    schema=[Field(name="days", dtype=Int64), Field(name="cost", dtype=Float64)],
    source=stays,
)
patient_in_ward = FeatureView(
    name="patient_in_ward", entities=[ward, patient], schema=[Field(name="cost", dtype=Float64)], source=stays
)
