"""The answers are those of Feast's own feature server on the same rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from feast.feature_server import get_app
from hypothesis import example, given
from starlette.testclient import TestClient

from headrace.learners.feature_server.process import FeatureServer
from tests.support.feast_online import FEATURES, KEYS, FeastOnline, feast_online, take_hashes
from tests.support.feature_values import NO_TIME
from tests.support.online_tables import EDGES, TABLE, Table, entity_key, key_names, write_with_headrace
from tests.support.properties import tries

TYPES = {feature.name: feature.dtype for feature in FEATURES}


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> FeastOnline:
    return feast_online(tmp_path_factory.mktemp("feast"), redis_url, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def feasts(online: FeastOnline) -> Iterator[TestClient]:
    with TestClient(get_app(online.store)) as client:
        yield client


@pytest.fixture(scope="module")
def ours(
    online: FeastOnline, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    server = FeatureServer(online.plan, redis_url, tmp_path_factory.mktemp("repo"))
    with TestClient(server.app, base_url="http://localhost") as client:
        yield client


def columns(answer: Any) -> dict[str, Any]:
    """Values, and statuses and times of the rows that are there, by name."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return dict(zip(told["metadata"]["feature_names"], told["results"], strict=True))


def same(dtype: str, values: Any) -> Any:
    """Values without what is open: the order of sets, how JSON is spaced, and Feast's number for no time."""
    if isinstance(values, list):
        inner = [same(dtype, value) for value in values]
        return sorted({json.dumps(value, sort_keys=True) for value in inner}) if "Set" in dtype else inner
    if isinstance(values, dict):
        return {name: same(dtype, value) for name, value in values.items()}
    if "Json" in dtype and isinstance(values, str):
        return json.loads(values) if is_json(values) else values
    return None if values == NO_TIME else values or 0 if isinstance(values, float) else values


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@given(table=TABLE)
@example(table=EDGES)
@tries(20)
def test_every_type_is_answered_as_feast_does(
    online: FeastOnline, redis_url: str, feasts: TestClient, ours: TestClient, table: Table
) -> None:
    take_hashes(redis_url, online.plan.project)
    write_with_headrace(redis_url, online, table)
    for view in KEYS:
        keys = [entity_key(view, key) for key in [*table, ("nowhere", 77)]]
        entities = {name: [key[name] for key in keys] for name in key_names(view)}
        for full in (True, False):
            body = {
                "entities": entities,
                "features": [f"{view}:{feature.name}" for feature in FEATURES],
                "full_feature_names": full,
            }
            path = "/get-online-features"
            theirs, found = columns(feasts.post(path, json=body)), columns(ours.post(path, json=body))
            assert set(found) == set(theirs)
            for name, vector in found.items():
                dtype = TYPES.get(name.removeprefix(f"{view}__"), "String")
                assert [same(dtype, value) for value in vector["values"]] == [
                    same(dtype, value) for value in theirs[name]["values"]
                ], name
                assert vector["event_timestamps"] == theirs[name]["event_timestamps"], name
                statuses = ["PRESENT"] * len(keys) if name in entities else expected(vector["values"])
                if dtype != "ScalarMap":  # which has no JSON
                    assert vector["statuses"] == statuses, name


def expected(values: list[Any]) -> list[str]:
    """Statuses of features, where Feast says PRESENT of whatever it looked for in Redis."""
    *of_rows, _ = ["NULL_VALUE" if value is None else "PRESENT" for value in values]
    return [*of_rows, "NOT_FOUND"]
