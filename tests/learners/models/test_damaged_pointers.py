"""Whatever stands in Redis in place of pointers and epochs is a fault of its own entry, and of no other."""

from __future__ import annotations

import json

import pytest
import redis
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from headrace.learners.models.pointers import ModelPointer, ModelPointers, epochs_key, models_key
from headrace.schemas.plan import Plan
from headrace.streams.progress import EPOCHS, progress_field, progress_key
from tests.support.flight_learners import flights
from tests.support.properties import tries

KEY = b"0123456789abcdef"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return flights(tmp_path_factory.mktemp("flights"), "damaged")[0]


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


leaves = st.sampled_from(
    [None, True, -1, 7, 1.5, float("nan"), float("inf"), 2**63, 10**4000, "1.2", "", "x", "\ud800", "../1"]
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "\ud800"]), inner),
    max_leaves=4,
)
names = st.sampled_from(
    ["v", "version", "offset", "artifact", "log", "signature", "epoch", "era", "router", "propensities"]
)
objects = st.dictionaries(names, anything | st.just("1." + "9" * 5_000))
epochs = objects.map(lambda raw: {**raw, "v": 1, "epoch": json.dumps(raw)})
pointers = objects.map(lambda raw: {"version": "1.2", "offset": 7, **raw, "v": 3})
texts = (objects | epochs | pointers | anything).map(json.dumps).map(str.encode)
entries = texts | st.binary(max_size=9) | st.sampled_from([b"[" * 100_000, b"9" * 5_000, b"null", b"{}"])


@pytest.mark.parametrize("key", [KEY, None], ids=["signed", "shown"])
@tries(200, HealthCheck.function_scoped_fixture)
@given(entry=entries, name=st.binary(max_size=5))
@example(entry=b'{"v":1,"epoch":"\\ud800","era":0}', name=b"\xff")
@example(entry=b'{"v":3,"version":"1.' + b"9" * 5_000 + b'","offset":1}', name=b"tree")
def test_one_entry_that_is_damaged_is_a_fault_of_its_own(
    client: redis.Redis, plan: Plan, key: bytes | None, entry: bytes, name: bytes
) -> None:
    router, project = plan.routers[0], plan.project
    good = ModelPointers(client, project, "log", key=key)
    good.point("examples", {"base": ModelPointer("1.4", 50)})
    client.hset(models_key(project), mapping={"tree": entry, name + b"?": entry})
    client.hset(epochs_key(project), router.name, entry)
    closings = plan.topics.router(router.name).closings
    client.hset(progress_key(project), progress_field("train", closings, 0, EPOCHS), entry)
    in_force = good.read(router)
    assert in_force.pointers["base"] == ModelPointer("1.4", 50)
    assert ("tree" in in_force.faults) != ("tree" in in_force.pointers)
    if key is not None:
        assert "tree" in in_force.faults
        assert in_force.epoch is None
        assert in_force.epoch_fault is not None
    for pointer in in_force.pointers.values():
        assert pointer.position >= (0, 0, 0)
    client.delete(models_key(project), epochs_key(project), progress_key(project))
