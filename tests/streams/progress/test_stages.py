"""Which stages a record passes, and what the next one has to reach."""

from __future__ import annotations

import pytest

from headrace.schemas.errors import UnknownNameError
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import Progress, Until
from headrace.streams.progress.stages import PlanStages
from tests.support.purchases_router import plan_with_router

EVENTS, OUTCOMES, EXAMPLES = "p.purchases", RouterTopics("p", "r").outcomes, RouterTopics("p", "r").examples


@pytest.fixture
def stages() -> PlanStages:
    return PlanStages(plan_with_router("p"))


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
        ("join", OUTCOMES, 0, ""): Progress(3, {f"{EXAMPLES}|0": 7}),
        ("join", OUTCOMES, 1, ""): Progress(4, {f"{EXAMPLES}|0": 5}),
    }
    inputs = {(OUTCOMES, 0): 3, (OUTCOMES, 1): 4}
    assert list(stages.behind(progress, "join", inputs)) == []
    assert stages.outputs(progress, "join", inputs) == {(EXAMPLES, 0): 7}


def test_a_replica_that_has_not_reported_lately_holds_nothing_back(stages: PlanStages) -> None:
    gone = {("serve", EXAMPLES, 0, "replica"): Progress(1, at_ms=1)}
    assert list(stages.behind(gone, "serve", {(EXAMPLES, 0): 7})) == [
        f"stage serve has no live replica for {EXAMPLES}[0]"
    ]
