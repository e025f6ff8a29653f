from datetime import timedelta

from data_sources import stays
from entities import patient
from feast import FeatureView, Field
from feast.types import Bool, Float64, Int64, String

patient_stays = FeatureView(
    name="patient_stays",
    entities=[patient],
    ttl=timedelta(days=365),
    schema=[
        Field(
            name="days",
            dtype=Int64,
            description="Length of the stay, whole days",
            tags={"owner": "wards@example.org", "use_case": "planning+billing", "kpi": "bed-occupancy:share"},
        ),
        Field(name="urgent", dtype=Bool, description="Came by ambulance", tags={"pii": "true"}),
        Field(name="diagnosis", dtype=String, tags={"coding": "ICD-10"}),
        Field(name="cost", dtype=Float64),
    ],
    source=stays,
    tags={"team": "wards", "data_classification": "confidential"},
    description="The last stay of a patient",
)
