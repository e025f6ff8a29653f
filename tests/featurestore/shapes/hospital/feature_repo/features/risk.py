import pandas as pd
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, String

from features.patient_features import patient_stays


@on_demand_feature_view(
    sources=[patient_stays],
    schema=[Field(name="score", dtype=Float64), Field(name="band", dtype=String)],
    description="A score that is easy to explain",
    tags={"model": "none"},
)
def simple_risk(inputs: pd.DataFrame) -> pd.DataFrame:
    out = pd.DataFrame()
    out["score"] = inputs["days"].astype("float64") / 10 + inputs["urgent"].fillna(False).astype("float64")
    out["band"] = out["score"].apply(lambda score: "high" if score > 1 else "low")
    return out
