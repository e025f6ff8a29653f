"""Which stages a record passes, and what the next one has to reach."""

from __future__ import annotations

import time

import pytest

from headrace.schemas.errors import UnknownNameError
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import Progress, Until
from headrace.streams.progress.stages import PlanStages
from tests.support.purchases_router import plan_with_router

PLAN = plan_with_router("p")
EVENTS, OUTCOMES, EXAMPLES = "p.purchases", RouterTopics("p", "r").outcomes, RouterTopics("p", "r").examples


@pytest.fixture
def stages() -> PlanStages:
    return PlanStages(PLAN)


@pytest.mark.parametrize(
    ("topic", "until", "passed"),
    [
        (EVENTS, "features", ["features"]),
        (EVENTS, "examples", ["outcomes", "join"]),
        (EVENTS, "models", ["outcomes", "join", "train"]),
        (OUTCOMES, "serve", ["join", "train", "serve"]),
    ],
)
def test_a_record_passes_the_stages_between_its_topic_and_where_it_is_waited_for(
    stages: PlanStages, topic: str, until: Until, passed: list[str]
) -> None:
    assert stages.between(topic, until) == passed


def test_a_topic_that_no_stage_reads_is_refused_with_those_that_are(stages: PlanStages) -> None:
    with pytest.raises(UnknownNameError, match=EVENTS):
        stages.between("purchases", "features")
    with pytest.raises(UnknownNameError, match="event topic"):
        stages.between(OUTCOMES, "features")


def test_the_next_stage_has_to_reach_the_furthest_output_of_any_partition(stages: PlanStages) -> None:
    progress = {
        ("join", OUTCOMES, 0, ""): Progress(3, {f"{EXAMPLES}|0": 7}, plan=PLAN.hash),
        ("join", OUTCOMES, 1, ""): Progress(4, {f"{EXAMPLES}|0": 5}, plan=PLAN.hash),
    }
    inputs = {(OUTCOMES, 0): 3, (OUTCOMES, 1): 4}
    assert list(stages.behind(progress, "join", inputs)) == []
    assert stages.outputs(progress, "join", inputs) == {(EXAMPLES, 0): 7}


def test_a_replica_that_has_not_reported_lately_holds_nothing_back(stages: PlanStages) -> None:
    gone = {("serve", EXAMPLES, 0, "replica"): Progress(1, at_ms=1, plan=PLAN.hash)}
    assert list(stages.behind(gone, "serve", {(EXAMPLES, 0): 7})) == [
        f"stage serve has no live replica of plan {PLAN.hash[:12]} for {EXAMPLES}[0]"
    ]


def test_progress_by_another_plan_is_none_and_is_named(stages: PlanStages) -> None:
    wanted = f"not by plan {PLAN.hash[:12]}: start that process, or the client that waits, anew"
    for plan, name in (("0123456789abcdef", "plan 0123456789ab"), ("", "an earlier version of Headrace")):
        other = {("join", OUTCOMES, 0, ""): Progress(9, plan=plan)}
        assert list(stages.behind(other, "join", {(OUTCOMES, 0): 3})) == [
            f"stage join has {OUTCOMES}[0] by {name}, {wanted}"
        ]
    old = {("serve", EXAMPLES, 0, "old"): Progress(9, at_ms=time.time_ns() // 1_000_000, plan="0123")}
    (behind,) = stages.behind(old, "serve", {(EXAMPLES, 0): 7})
    assert "no live replica of plan" in behind


def test_members_that_the_plan_does_not_have_are_told_from_those_it_has(stages: PlanStages) -> None:
    now_ms = time.time_ns() // 1_000_000
    held = [
        ("features", EVENTS, 3, "direct"),
        ("join", OUTCOMES, 0, ""),
        ("train", EXAMPLES, 0, "a"),
        ("serve", EXAMPLES, 0, "replica"),
    ]
    assert all(stages.has(where, Progress(1, at_ms=now_ms)) for where in held)
    assert not stages.has(held[-1], Progress(1, at_ms=1))  # silent
    for where in [
        ("features", EVENTS, 0, "shard-7"),
        ("features", "p.gone", 0, "direct"),
        ("join", RouterTopics("p", "gone").outcomes, 0, ""),
        ("train", EXAMPLES, 0, "gone"),
        ("another", EVENTS, 0, ""),
    ]:
        assert not stages.has(where, Progress(1, at_ms=now_ms))
