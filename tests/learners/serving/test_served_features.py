"""Learners whose service has an on-demand view: computed in serve, logged, and learned from as served."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.commands.topics import ensure_topics
from headrace.featurestore.on_demand.functions import _import, function_digest
from headrace.learners.models.inputs import Inputs
from headrace.learners.models.scoring import score
from headrace.learners.training.trainer import Trainer
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FeatureRef, FieldSpec, OnDemandViewSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, Prediction
from tests.support.service_scene import AS_OF_MS, Scene, wait_until_ready

FEATURES = """
import sys

from feast import Entity, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

delays = FeatureView(
    name="delays", entities=[Entity(name="origin", value_type=ValueType.STRING)],
    schema=[
        Field(name="origin", dtype=String),
        Field(name="mean", dtype=Float64),
        Field(name="count", dtype=Int64),
    ],
    source=FileSource(name="table", path="table.parquet", timestamp_field="at"),
)
trip = RequestSource(
    name="trip", schema=[Field(name="distance", dtype=Int64), Field(name="day", dtype=UnixTimestamp)]
)


@on_demand_feature_view(
    sources=[delays, trip], mode="pandas",
    schema=[
        Field(name="per_mile", dtype=Float64),
        Field(name="next_day", dtype=UnixTimestamp),
        Field(name="days", dtype=Array(UnixTimestamp), vector_length=2),
    ],
)
def ratios(df):
    import pandas as pd

    if (df["distance"] == 13).any():
        raise ValueError("thirteen")
    if (df["distance"] == 14).any():
        sys.exit(3)
    if (df["distance"] == 15).any():
        return None
    days = df["day"] + pd.Timedelta(days=1)
    some = [None if day is pd.NaT else [day] * distance for day, distance in zip(days, df["distance"] // 500)]
    return pd.DataFrame({"per_mile": df["mean"] / df["distance"], "next_day": days, "days": some})
"""
DAY_MS = 86_400_000


def with_ratios(scene: Scene) -> Plan:
    """The scene's plan; the service of its learners has the on-demand view, and its mean alone besides."""
    folder = scene.project.file.parent
    (folder / "features.py").write_text(FEATURES)
    spec = OnDemandViewSpec(
        name="ratios",
        mode="pandas",
        inputs=(FeatureRef(view="delays", feature="mean"), FeatureRef(view="delays", feature="count")),
        request=(FieldSpec(name="distance", dtype="Int64"), FieldSpec(name="day", dtype="UnixTimestamp")),
        features=(
            FieldSpec(name="per_mile", dtype="Float64"),
            FieldSpec(name="next_day", dtype="UnixTimestamp"),
            FieldSpec(name="days", dtype="Array(UnixTimestamp)", length=2),
        ),
        file="features.py",
        definition="0",
    )
    module = _import(folder, "features.py")
    spec = spec.model_copy(update={"definition": function_digest(module.ratios)})
    refs = (
        *(FeatureRef(view="ratios", feature=f.name) for f in spec.features),
        FeatureRef(view="delays", feature="mean"),
    )
    service = scene.plan.services[0].model_copy(update={"features": refs})
    router = scene.plan.routers[0]
    router = router.model_copy(update={"request": (*router.request, "day")})
    return scene.plan.model_copy(
        update={"services": (service,), "on_demand_views": (spec,), "routers": (router,)}
    )


def asked(flight: str, origin: str, distance: Any = 700, day: Any = DAY_MS) -> dict[str, Any]:
    request = {"distance": distance, "flight": flight, "day": day}
    return {"entities": {"origin": origin}, "request": request, "ts_ms": AS_OF_MS}


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    found = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    found.plan = with_ratios(found)
    ensure_topics(kafka_bootstrap, found.plan, event_partitions=1)
    return found


def predictions(scene: Scene, requests: list[dict[str, Any]]) -> list[Prediction]:
    with scene.serving() as client:
        wait_until_ready(client)
        answers = client.post("/v1/predict:batch", json={"requests": requests}).json()["predictions"]
    return [Prediction.model_validate_json(scene.logged(one["log"])[1]) for one in answers]


def test_on_demand_features_and_what_they_are_of_are_served_and_logged(scene: Scene) -> None:
    found = predictions(
        scene, [asked("a", "EWR"), asked("b", "JFK", 2000), asked("c", "LGA"), asked("d", "EWR", 7, None)]
    )
    assert [one.features for one in found] == [
        {
            "ratios__per_mile": per,
            "ratios__next_day": day,
            "ratios__days__0": first,
            "ratios__days__1": second,
            "delays__mean": mean,
            "delays__count": count,
        }
        for per, day, first, second, mean, count in [
            (12.5 / 700, 2 * DAY_MS, 2 * DAY_MS, None, 12.5, 7),
            (None, 2 * DAY_MS, 2 * DAY_MS, 2 * DAY_MS, None, 9),
            (None, 2 * DAY_MS, 2 * DAY_MS, None, None, None),
            (12.5 / 7, None, None, None, 12.5, 7),
        ]
    ]
    assert set(found[0].provenance) == {"delays"}


def test_an_infinite_feature_is_logged_as_served_and_left_out_of_every_model(scene: Scene) -> None:
    (logged,) = predictions(scene, [asked("a", "EWR", distance=0)])
    assert logged.features["ratios__per_mile"] == math.inf
    assert "ratios__per_mile" not in Inputs(scene.plan, scene.plan.learner("streaming")).of_prediction(logged)
    assert set(logged.scores.values()) == {0.5}


def test_models_learn_and_predict_with_what_was_served(scene: Scene) -> None:
    (logged,) = predictions(scene, [asked("a", "EWR")])
    arm = "streaming"
    x = Inputs(scene.plan, scene.plan.learner(arm)).of_prediction(logged)
    assert x == {
        "delays__mean": 12.5,
        "distance": 700,
        "ratios__days__0": 2 * DAY_MS,
        "ratios__next_day": 2 * DAY_MS,
        "ratios__per_mile": 12.5 / 700,
    }
    trainer = Trainer(scene.plan, scene.project.learner(arm))
    model = scene.project.learner(arm).model()
    trainer.take(0, Example(example_id="e", prediction=logged, label=1.0, label_ts_ms=AS_OF_MS))
    model.learn_one(x, True)
    assert score(trainer.model, x) == score(model, x) != 0.5


def test_a_row_that_the_function_fails_on_leaves_the_others_alone(scene: Scene) -> None:
    distances = (700, 13, 10, 14, 15)  # it raises, leaves the process, and gives no frame
    found = predictions(scene, [asked(f"f{distance}", "EWR", distance) for distance in distances])
    per_mile = [one.features.get("ratios__per_mile") for one in found]
    assert per_mile == [12.5 / 700, None, 1.25, None, None]
    for number in (1, 3, 4):
        assert found[number].features == {}
        assert found[number].scores["streaming"] is None
        assert found[number].scores["static"] == 0.5


def test_a_request_field_of_another_type_is_refused(scene: Scene) -> None:
    with scene.serving() as client:
        told = client.post("/v1/predict", json=asked("a", "EWR", day="monday"))
    assert told.status_code == 422
    assert told.json()["field"] == "requests[0].request.day"
    assert "'monday' is no UnixTimestamp" in told.json()["message"]


def test_serve_does_not_start_with_a_function_that_is_not_the_plans(scene: Scene) -> None:
    file = scene.project.file.parent / "features.py"
    file.write_text(FEATURES.replace("days=1", "days=2"))
    with pytest.raises(DefinitionError, match="'ratios': its function is another one"), scene.serving():
        pass


def test_the_service_loads_feast_where_a_learner_needs_it_only() -> None:
    heavy = ("pandas", "feast")
    program = (
        f"import sys, headrace.learners.serving.process; print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
