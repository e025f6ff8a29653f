"""Progress: waiting for a prefix, stage by stage, on a real Redis."""

from __future__ import annotations

import threading

import pytest
import redis

from headrace.schemas.errors import ProgressTimeout, UnknownNameError
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import EPOCHS, Progress, ProgressStore
from tests.support.purchases_router import plan_with_router
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def store(redis_url: str, project: str) -> ProgressStore:
    return ProgressStore(redis.Redis.from_url(redis_url), plan_with_router(project))


def event_topic(project: str) -> str:
    return f"{project}.purchases"


def test_every_member_of_a_stage_must_have_come_that_far(store, project):
    topic = event_topic(project)
    for member in ("direct", "shard-0"):
        store.publish("features", topic, 0, Progress(10), member)
    with pytest.raises(ProgressTimeout, match=r"stage features \(shard-1\) has .* up to offset 0 of 10"):
        store.wait(topic, {0: 10}, timeout_s=0.01)
    store.publish("features", topic, 0, Progress(10), "shard-1")
    store.wait(topic, {0: 10}, timeout_s=0.01)
    with pytest.raises(ProgressTimeout, match="of 11"):
        store.wait(topic, {0: 11}, timeout_s=0.01)


def test_waiting_follows_the_outputs_from_stage_to_stage(store, project):
    topic, examples, closings = (
        event_topic(project), RouterTopics(project, "r").examples, RouterTopics(project, "r").closings
    )  # fmt: skip
    outcomes = RouterTopics(project, "r").outcomes

    def behind() -> str:
        with pytest.raises(ProgressTimeout) as raised:
            store.wait(topic, {0: 5}, until="serve", timeout_s=0.01)
        return str(raised.value)

    assert "stage outcomes (r)" in behind()
    store.publish("outcomes", topic, 0, Progress(5, {f"{outcomes}|0": 3}), "r")
    assert f"stage join has {outcomes}[0] up to offset 0 of 3" in behind()
    store.publish("join", outcomes, 0, Progress(3, {f"{examples}|0": 7, f"{closings}|0": 2}))
    assert "stage train (a)" in behind()
    store.publish("train", examples, 0, Progress(7), "a")
    store.publish("train", examples, 0, Progress(7), "b")
    assert f"stage train (epochs) has {closings}[0] up to offset 0 of 2" in behind()
    store.publish("train", closings, 0, Progress(2), EPOCHS)
    assert "no live replica" in behind()
    store.publish("serve", examples, 0, Progress(7), "replica")
    store.publish("serve", closings, 0, Progress(2), "replica")
    store.wait(topic, {0: 5}, until="serve", timeout_s=0.01)


def test_a_wait_ends_as_soon_as_the_prefix_is_visible(store, project):
    topic = event_topic(project)
    for member in ("direct", "shard-0"):
        store.publish("features", topic, 0, Progress(1), member)
    late = threading.Timer(0.1, store.publish, ("features", topic, 0, Progress(1), "shard-1"))
    late.start()
    store.wait(topic, {0: 1}, timeout_s=PATIENCE_S)
    late.join()


def test_a_topic_nobody_reads_is_an_error_with_the_nearest_name(store, project):
    with pytest.raises(UnknownNameError, match=f"did you mean '{project}.purchases'"):
        store.wait(f"{project}.purchase", {0: 1})
