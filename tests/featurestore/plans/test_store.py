"""Plans are kept for ever; one is in force."""

from __future__ import annotations

import pytest
import redis

from headrace.featurestore.plans.store import PlanStore, plan_key
from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import Plan


def plan(project: str, feature: str) -> Plan:
    view = BatchViewSpec(
        name="v",
        join_keys=(FieldSpec(name="k", dtype="Int64"),),
        features=(FieldSpec(name=feature, dtype="Int64"),),
    )
    return Plan(project=project, batch_views=(view,))


def test_the_last_saved_plan_is_in_force_and_older_ones_are_kept(redis_url: str, project: str) -> None:
    store = PlanStore(redis_url, project)
    first, second = plan(project, "a"), plan(project, "b")
    store.save(first)
    store.save(second)
    assert store.load() == second
    assert store.load(first.hash) == first
    store.save(first)
    assert store.load() == first


@pytest.mark.parametrize("decode", [False, True])
def test_a_client_may_decode_or_not(redis_url: str, project: str, decode: bool) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=decode) as client:
        store = PlanStore(client, project)
        store.save(plan(project, "a"))
        assert store.load() == plan(project, "a")


def test_a_stored_plan_is_never_written_again(redis_url: str, project: str) -> None:
    saved = plan(project, "a")
    with redis.Redis.from_url(redis_url) as client:
        PlanStore(client, project).save(saved)
        client.set(plan_key(project, saved.hash), "touched")
        PlanStore(client, project).save(saved)
        assert client.get(plan_key(project, saved.hash)) == b"touched"


def test_what_is_not_there_is_told(redis_url: str, project: str) -> None:
    store = PlanStore(redis_url, project)
    with pytest.raises(PlanError, match=f"project '{project}' has no plan in Redis; run `headrace apply`"):
        store.load()
    with pytest.raises(PlanError, match="no plan abc"):
        store.load("abc")


def test_a_plan_of_another_project_is_refused(redis_url: str, project: str) -> None:
    with pytest.raises(PlanError, match="is of project 'other'"):
        PlanStore(redis_url, project).save(plan("other", "a"))


def test_an_unreachable_store_is_told(project: str, free_port: int) -> None:
    store = PlanStore(f"redis://127.0.0.1:{free_port}/0", project)
    with pytest.raises(ServiceUnavailable, match="cannot be read"):
        store.load()
    with pytest.raises(ServiceUnavailable, match="cannot be stored"):
        store.save(plan(project, "a"))
