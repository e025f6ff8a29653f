"""A view that is read by two fields of the entities: served, logged and learned from under both names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.deploy.commands.topics import ensure_topics
from headrace.featurestore.offline.served_dataset import as_served
from headrace.learners.models.inputs import Inputs
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.records import Prediction
from headrace.streams.join.example_archive import predictions_table
from tests.support.service_scene import AS_OF_MS, Scene, wait_until_ready

PLACES = (("there", "origin"), ("back", "destination"))


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    """Every service of its learners reads the view of origins for both ends of a flight."""
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    refs = tuple(
        FeatureRef(view="delays", feature=feature, alias=alias, join_key_map=(("origin", place),))
        if place != "origin"
        else FeatureRef(view="delays", feature=feature, alias=alias)
        for alias, place in PLACES
        for feature in ("mean", "count")
    )
    service = scene.plan.services[0].model_copy(update={"features": refs})
    router = scene.plan.routers[0].model_copy(update={"entities": ("origin", "destination")})
    scene.plan = scene.plan.model_copy(update={"services": (service,), "routers": (router,)})
    ensure_topics(kafka_bootstrap, scene.plan, event_partitions=1)
    return scene


def asked(flight: str, **entities: Any) -> dict[str, Any]:
    return {"entities": entities, "request": {"distance": 700, "flight": flight}, "ts_ms": AS_OF_MS}


def test_each_end_of_a_flight_has_features_of_its_own(scene: Scene) -> None:
    requests = [
        asked("a", origin="EWR", destination="JFK"),
        asked("b", origin="JFK", destination="EWR"),
        asked("c", origin="EWR", destination="LGA"),
    ]
    with scene.serving() as client:
        wait_until_ready(client)
        answers = client.post("/v1/predict:batch", json={"requests": requests}).json()["predictions"]
        refused = client.post("/v1/predict", json=asked("d", origin="EWR", destination=None))
    assert (refused.status_code, refused.json()["field"]) == (422, "requests[0].entities.destination")
    logged = [Prediction.model_validate_json(scene.logged(one["log"])[1]) for one in answers]
    assert [one.features for one in logged] == [
        {"there__mean": 12.5, "there__count": 7, "back__mean": None, "back__count": 9},
        {"there__mean": None, "there__count": 9, "back__mean": 12.5, "back__count": 7},
        {"there__mean": 12.5, "there__count": 7, "back__mean": None, "back__count": None},
    ]
    assert [sorted(one.provenance) for one in logged] == [["back", "there"], ["back", "there"], ["there"]]
    inputs = Inputs(scene.plan, scene.plan.learner("streaming"))
    assert inputs.of_prediction(logged[1]) == {
        "back__count": 7,
        "back__mean": 12.5,
        "distance": 700,
        "there__count": 9,
    }
    later = datetime.fromtimestamp(AS_OF_MS / 1000, UTC) + timedelta(seconds=1)
    entities = pa.table(
        {
            "origin": ["JFK"],
            "destination": ["EWR"],
            "event_timestamp": pa.array([later], pa.timestamp("us", "UTC")),
        }
    )
    found = as_served(scene.plan, "delays", entities, scene.plan.routers[0], predictions_table(logged))
    assert found.select(["there__count", "back__count"]).to_pylist() == [
        {"there__count": 9, "back__count": 7}
    ]
