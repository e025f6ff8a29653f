from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import redis

from headrace.deploy.commands.healthy import describe_plans, replaced, standstill, unprocessed
from headrace.deploy.commands.status import read_status, render_status
from headrace.learners.training.group import TrainerMember
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.progress import (
    ProcessRegistry,
    Progress,
    ProgressStore,
    RunningProcess,
    alarms_key,
    counts_key,
)
from tests.support.audit_scene import with_router
from tests.support.purchases import purchases_plan
from tests.support.usage_plan import ROUTER, SPENT
from tests.support.usage_plan import plan as usage_plan


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def plan_of_clicks(project: str) -> Plan:
    plan = purchases_plan(project, shards=0)
    source = plan.sources[0].model_copy(update={"topic": "clicks"})
    return plan.model_copy(update={"sources": (source,)})


def labelled_plan(project: str) -> Plan:
    """A router whose labels come out of the topic."""
    plan = with_router(purchases_plan(project))
    outcome = OutcomeSpec(source=plan.sources[0].name, key_field="user", label_field="items")
    return plan.model_copy(update={"routers": (plan.routers[0].model_copy(update={"outcome": outcome}),)})


def behind(stages: object) -> bool:
    return True


def report(client: redis.Redis, plan: Plan, *offsets: int, at_ms: int = 0) -> None:
    for partition, offset in enumerate(offsets):
        ProgressStore(client, plan).publish(
            "features", "clicks", partition, Progress(offset, at_ms=at_ms), "direct"
        )


def test_lag_is_counted_over_all_partitions_also_those_not_heard_of(
    client: redis.Redis, project: str
) -> None:
    plan = plan_of_clicks(project)
    report(client, plan, 5, 7)
    ends = {("clicks", 0): 5, ("clicks", 1): 10, ("clicks", 2): 4}
    (stage,) = read_status(client, plan, ends).stages
    assert (stage.stage, stage.member, stage.visible, stage.lag) == ("features", "direct", 12, 7)


def test_counts_of_all_partitions_are_added_up(client: redis.Redis, project: str) -> None:
    plan, topic = labelled_plan(project), f"{project}.purchases"
    for partition in range(2):
        client.hset(
            counts_key(project), f"intake|{topic}|{partition}", json.dumps({"applied": 3, "late": partition})
        )
    client.hset(counts_key(project), f"outcomes|delays|{topic}|0", json.dumps({"sent": 2}))
    client.hset(counts_key(project), "join|delays|0", json.dumps({"matched": 1}))
    status = read_status(client, plan, {})
    assert status.outcomes == {f"delays, {topic}": {"sent": 2}}
    assert status.join == {"delays": {"matched": 1}}
    assert status.intake == {topic: {"applied": 6, "late": 1}}
    assert f"records of {topic}: applied 6, late 1" in render_status(plan, status)


def test_counts_and_alarms_of_what_the_plan_has_not_are_left_out(client: redis.Redis, project: str) -> None:
    """They stay in Redis, for a plan that has it again."""
    plan, topic = labelled_plan(project), f"{project}.purchases"
    source = plan.sources[0].name
    names = [
        f"intake|{topic}|0", f"expectations|{topic}|0", f"sums|{topic}|shard-0|0", "join|delays|0",
        f"outcomes|delays|{topic}|0",
    ]  # fmt: skip
    for name in names:
        client.hset(counts_key(project), name, json.dumps({"applied": 1}))
    client.hset(alarms_key(project), f"two_partitions|{source}", 3)
    status = read_status(client, plan, {})
    counted = (status.intake, status.expectations, status.sums, status.join, status.outcomes)
    assert all(counted), counted
    assert status.two_partitions == {source: 3}
    without_shuffle = plan.sources[0].model_copy(update={"shards": 0})
    assert read_status(client, plan.model_copy(update={"sources": (without_shuffle,)}), {}).sums == {}
    shuffled = plan.sources[0].model_copy(update={"key_field": None})
    assert read_status(client, plan.model_copy(update={"sources": (shuffled,)}), {}).two_partitions == {}, (
        "its rows cannot be in two partitions any more"
    )
    nothing = read_status(client, Plan(project=project), {})
    assert (nothing.intake, nothing.expectations, nothing.sums, nothing.join, nothing.outcomes) == (
        {}, {}, {}, {}, {},
    )  # fmt: skip
    assert nothing.two_partitions == {}


def test_an_arm_that_was_removed_makes_nobody_unhealthy(client: redis.Redis, project: str) -> None:
    before = usage_plan(SPENT, project=project)
    topics = before.topics.router("main")
    store = ProgressStore(client, before)
    for arm, offset in (("tree", 9), ("line", 3)):
        store.publish("train", topics.examples, 0, Progress(offset, at_ms=1), arm)
    ends = {(topics.examples, 0): 9}
    assert "6 records" in str(standstill(read_status(client, before, ends), "train", 60, behind))
    after = before.model_copy(update={"routers": (ROUTER.model_copy(update={"arms": ("tree",)}),)})
    assert standstill(read_status(client, after, ends), "train", 60, behind) is None


def test_a_process_stands_still_when_it_is_silent_with_records_before_it(
    client: redis.Redis, project: str
) -> None:
    plan, records = plan_of_clicks(project), lambda stages: True
    report(client, plan, 5, at_ms=1)
    assert standstill(read_status(client, plan, {("clicks", 0): 5}), "worker", 60, records) is None
    behind = read_status(client, plan, {("clicks", 0): 6})
    assert "worker has 1 records before it" in str(standstill(behind, "worker", 60, records))
    assert standstill(behind, "train", 60, records) is None
    assert standstill(behind, "worker", 60, lambda stages: False) is None  # markers of transactions
    report(client, plan, 5)
    assert standstill(read_status(client, plan, {("clicks", 0): 6}), "worker", 60, records) is None


def test_partitions_that_nobody_reads_are_an_alarm_and_not_healthy(client: redis.Redis, project: str) -> None:
    plan = with_router(purchases_plan(project))
    topics, source = plan.topics.router("delays"), plan.sources[0]
    changelog = plan.topics.source(source.name).changelog
    ends = {(changelog, 0): 0, (source.topic, 0): 9, (source.topic, 1): 1200, (source.topic, 2): 0}
    ends |= {(topics.outcomes, number): 1 for number in range(plan.routers[0].partitions + 1)}
    status = read_status(client, plan, ends)
    beyond = f"{topics.outcomes}[{plan.routers[0].partitions}]"
    assert status.unread == {f"{source.topic}[1]": 1200, beyond: 1}
    assert f"ALARM {source.topic}[1]: 1,200 records are not processed" in render_status(plan, status)
    assert f"worker does not process {source.topic}[1]" in str(unprocessed(plan, status, "worker"))
    assert f"join does not process {beyond}" in str(unprocessed(plan, status, "join"))
    assert unprocessed(plan, status, "train") is None


def test_of_several_trainers_it_is_told_which_one_trains(client: redis.Redis, project: str) -> None:
    plan = Plan(project=project)
    trainers = [TrainerMember("a-1", True), TrainerMember("b-2", False)]
    status = read_status(client, plan, {}, trainers)
    assert render_status(plan, status).splitlines()[-1] == "trainers: a-1 trains, b-2 stands by"
    alone = render_status(plan, read_status(client, plan, {}, trainers[:1]))
    assert "trainers" not in alone


def test_a_project_nobody_works_on_says_so(client: redis.Redis, project: str) -> None:
    plan = Plan(project=project)
    assert "do the processes run?" in render_status(plan, read_status(client, plan, {}))


def test_members_that_the_plan_does_not_have_are_shown_with_their_plan_and_do_not_count(
    client: redis.Redis, project: str
) -> None:
    before = plan_of_clicks(project)
    report(client, before, 5, at_ms=1)
    ProgressStore(client, before).publish("features", "clicks", 0, Progress(2, at_ms=1), "shard-7")
    ProgressStore(client, before).publish("train", "examples", 0, Progress(2, at_ms=1), "tree")
    plan = before.model_copy(update={"services": ()})
    status = read_status(client, plan, {("clicks", 0): 5, ("examples", 0): 9})
    assert [(s.stage, s.member, s.lag) for s in status.stages] == [("features", "direct", 0)]
    assert {(s.stage, s.member, s.plans) for s in status.left} == {
        ("features", "shard-7", (before.hash,)),
        ("train", "tree", (before.hash,)),
    }
    assert standstill(status, "worker", 60, lambda stages: True) is None
    assert standstill(status, "train", 60, lambda stages: True) is None
    assert "gone: train tree of examples, 2 visible" in render_status(plan, status)


def test_processes_are_shown_with_their_plans_and_one_by_an_old_plan_is_unhealthy_after_a_while(
    client: redis.Redis, project: str
) -> None:
    plan, registry = plan_of_clicks(project), ProcessRegistry(client, project)
    now_ms = time.time_ns() // 1_000_000
    registry.report(RunningProcess("worker", "host-1", "0123456789abcdef", now_ms - 100_000))
    registry.report(RunningProcess("join", "host-2", plan.hash))
    registry.report(RunningProcess("train", "host-3", plan.hash, at_ms=now_ms - 100_000))
    status = read_status(client, plan, {})
    shown = render_status(plan, status)
    assert "0123456789ab (not in force)" in shown
    assert "are to be started anew" in shown
    assert "gone, or paused" in shown
    assert describe_plans(status, "worker") == "worker: 1 by plan 0123456789ab"
    assert describe_plans(status, "train") == "train: no process has said that it runs"
    assert "has been in force for 10" in str(replaced(plan, status, "worker", 60))
    assert replaced(plan, status, "worker", 200) is None
    registry.report(RunningProcess("worker", "host-4", plan.hash))  # a rolling restart
    assert replaced(plan, read_status(client, plan, {}), "worker", 60) is None
