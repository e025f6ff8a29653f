from feast import FeatureService
from features.patient_features import patient_stays
from features.risk import simple_risk
from features.ward_features import patient_in_ward, ward_load

planning = FeatureService(
    name="planning",
    features=[patient_stays[["days", "urgent"]], ward_load, patient_in_ward],
    tags={"sla": "1h", "model_versions": "v1.0,v1.1"},
    description="What is expected of a ward",
)
triage = FeatureService(name="triage", features=[patient_stays, simple_risk])
