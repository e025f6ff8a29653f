"""Plans are kept for ever; one is in force."""

from __future__ import annotations

import json
from random import Random

import pytest
import redis

from headrace.featurestore.plans.store import PlanStore, plan_key, signature_key
from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, SourceSpec
from headrace.schemas.plan import Plan, text_hash
from tests.support.damage import damaged


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


def test_a_plan_with_another_text_than_its_hash_is_refused_until_it_is_applied_again(
    redis_url: str, project: str
) -> None:
    saved, other = plan(project, "a"), plan(project, "b")
    with redis.Redis.from_url(redis_url) as client:
        store = PlanStore(client, project)
        for text in (
            other.to_json(),
            saved.to_json().replace("Int64", "Int32"),
            "",
            "touched",
            "[" * 100_000,
        ):
            store.save(saved)
            client.set(plan_key(project, saved.hash), text)
            with pytest.raises(
                PlanError, match=r"not the plan that was stored under its hash.*headrace apply"
            ):
                store.load()
        store.save(saved)
        assert store.load() == saved


def test_a_plan_of_an_older_version_keeps_the_hash_of_then(redis_url: str, project: str) -> None:
    saved = plan(project, "a")
    raw = json.loads(saved.to_json())
    del raw["routers"]  # as if the field had come since
    text = json.dumps(raw)
    then = text_hash(text)
    assert then not in (None, saved.hash)
    with redis.Redis.from_url(redis_url) as client:
        client.set(plan_key(project, then), text)
        client.set(plan_key(project), str(then))
        assert PlanStore(client, project).load() == saved


def test_with_a_key_only_plans_that_it_has_signed_are_loaded(redis_url: str, project: str) -> None:
    saved, key = plan(project, "a"), b"k" * 32
    with redis.Redis.from_url(redis_url) as client:
        signing, reading = PlanStore(client, project, key), PlanStore(client, project)
        reading.save(saved)
        with pytest.raises(PlanError, match=r"it is not signed, and .*HEADRACE_PLAN_KEY"):
            signing.load()
        signing.save(saved)
        assert signing.load() == reading.load() == saved
        with pytest.raises(PlanError, match="not signed with the key of this process"):
            PlanStore(client, project, b"another key, as long as that").load()
        forged = plan(project, "b")
        reading.save(forged)
        client.copy(signature_key(project, saved.hash), signature_key(project, forged.hash))
        with pytest.raises(PlanError, match="not signed with the key of this process"):
            signing.load()


@pytest.mark.parametrize(
    "text", ["", "7", "[]", "{}", "x", "[" * 100_000, '{"v": 9, "signature": "00"}', "null"]
)
def test_a_signature_that_cannot_be_read_is_none(redis_url: str, project: str, text: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        store = PlanStore(client, project, b"k" * 32)
        store.save(plan(project, "a"))
        client.set(signature_key(project, plan(project, "a").hash), text)
        with pytest.raises(PlanError, match=r"signature .*headrace apply"):
            store.load()


@pytest.mark.parametrize("pointer", ["", "x", "../../etc", "a" * 63, "A" * 64, "0" * 64, b"\xff" * 64])
def test_a_pointer_to_no_plan_is_a_plan_error(redis_url: str, project: str, pointer: str | bytes) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(plan_key(project), pointer)
        with pytest.raises(PlanError, match="headrace apply"):
            PlanStore(client, project).load()


def test_the_plan_of_another_project_under_this_ones_key_is_refused(redis_url: str, project: str) -> None:
    other = plan("another", "a")
    with redis.Redis.from_url(redis_url) as client:
        client.set(plan_key(project, other.hash), other.to_json())
        client.set(plan_key(project), other.hash)
        with pytest.raises(PlanError, match="it is of project 'another'"):
            PlanStore(client, project).load()


def test_a_hash_is_the_same_for_the_text_and_the_plan_with_many_schemas() -> None:
    ids = {7: "a", 10: "b", 9: "c", 100_000: "d"}
    source = SourceSpec(
        name="s", topic="t", reader_schema="a", writer_schemas=ids, timestamp_field="at", tile_ms=1,
        late_tiles=0, max_future_ms=1, shards=0,
    )  # fmt: skip
    saved = Plan(project="p", sources=(source,))
    assert text_hash(saved.to_json()) == saved.hash


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


def test_a_damaged_plan_signature_or_pointer_is_a_plan_error_with_the_remedy(
    redis_url: str, project: str
) -> None:
    saved, random = plan(project, "a"), Random(27)
    with redis.Redis.from_url(redis_url) as client:
        store = PlanStore(client, project, b"k" * 32)
        keys = (plan_key(project, saved.hash), signature_key(project, saved.hash), plan_key(project))
        for key in keys:
            store.save(saved)
            whole = client.get(key)
            assert isinstance(whole, bytes)
            said = [outcome(store, client, key, text) for text in damaged(whole, random, 200)]
            assert all(each == saved or "headrace apply" in str(each) for each in said)
            store.save(saved)


def outcome(store: PlanStore, client: redis.Redis, key: str, text: bytes) -> Plan | str:
    """What becomes of a load when a key has this text: a plan, as damage may leave it, or what is said."""
    client.set(key, text)
    try:
        return store.load()
    except PlanError as error:
        return str(error)
