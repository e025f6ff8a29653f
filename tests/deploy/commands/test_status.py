from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from headrace.deploy.commands.status import read_status, render_status, standstill
from headrace.learners.training.group import TrainerMember
from headrace.schemas.plan import Plan
from headrace.streams.progress import Progress, ProgressStore, counts_key
from tests.support.audit_scene import with_router
from tests.support.purchases import purchases_plan


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def report(client: redis.Redis, plan: Plan, *offsets: int, at_ms: int = 0) -> None:
    for partition, offset in enumerate(offsets):
        ProgressStore(client, plan).publish(
            "features", "clicks", partition, Progress(offset, at_ms=at_ms), "direct"
        )


def test_lag_is_counted_over_all_partitions_also_those_not_heard_of(
    client: redis.Redis, project: str
) -> None:
    plan = Plan(project=project)
    report(client, plan, 5, 7)
    ends = {("clicks", 0): 5, ("clicks", 1): 10, ("clicks", 2): 4}
    (stage,) = read_status(client, plan, ends).stages
    assert (stage.stage, stage.member, stage.visible, stage.lag) == ("features", "direct", 12, 7)


def test_counts_of_all_partitions_are_added_up(client: redis.Redis, project: str) -> None:
    plan = Plan(project=project)
    for partition in range(2):
        client.hset(
            counts_key(project), f"intake|clicks|{partition}", json.dumps({"applied": 3, "late": partition})
        )
    client.hset(counts_key(project), "outcomes|delays|landings|0", json.dumps({"sent": 2}))
    client.hset(counts_key(project), "join|delays|0", json.dumps({"matched": 1}))
    status = read_status(client, plan, {})
    assert status.outcomes == {"delays, landings": {"sent": 2}}
    assert status.join == {"delays": {"matched": 1}}
    assert status.intake == {"clicks": {"applied": 6, "late": 1}}
    assert "records of clicks: applied 6, late 1" in render_status(plan, status)


def test_a_process_stands_still_when_it_is_silent_with_records_before_it(
    client: redis.Redis, project: str
) -> None:
    plan = Plan(project=project)
    report(client, plan, 5, at_ms=1)
    assert standstill(plan, read_status(client, plan, {("clicks", 0): 5}), "worker", 60) is None
    behind = read_status(client, plan, {("clicks", 0): 6})
    assert "worker has 1 records before it" in str(standstill(plan, behind, "worker", 60))
    assert standstill(plan, behind, "train", 60) is None
    report(client, plan, 5)
    assert standstill(plan, read_status(client, plan, {("clicks", 0): 6}), "worker", 60) is None


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
    assert f"worker does not process {source.topic}[1]" in str(standstill(plan, status, "worker", 60))
    assert f"join does not process {beyond}" in str(standstill(plan, status, "join", 60))
    assert standstill(plan, status, "train", 60) is None


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
