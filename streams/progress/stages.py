"""The stages of a plan: which a record passes, which members each has, and which of them are behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from headrace.schemas.errors import UnknownNameError
from headrace.streams.progress.record import Progress, Stage, Where

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan

Until = Literal["features", "examples", "models", "serve"]
Offsets = Mapping[tuple[str, int], int]  # topic and partition to next offset
EPOCHS = "epochs"  # the member of stage train that reads closings
REPLICA_TIMEOUT_MS = 15_000


class PlanStages:
    """The stages of one plan.

    Parameters
    ----------
    plan
        Says which topics each stage reads, and with which members.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def between(self, topic: str, until: Until) -> list[Stage]:
        """Stages that a record of a topic passes on its way to `until`, in order.

        Raises
        ------
        UnknownNameError
            When no stage reads that topic.
        """
        event_topics = {source.topic for source in self._plan.sources}
        routers = [self._plan.topics.router(router.name) for router in self._plan.routers]
        joined = {topic for router in routers for topic in (router.predictions, router.outcomes)}
        if topic not in joined | event_topics:
            raise UnknownNameError("topic", topic, sorted(joined | event_topics))
        if until == "features":
            if topic in joined:
                raise UnknownNameError("event topic", topic, sorted(event_topics))
            return ["features"]
        if topic in event_topics and not self.members("outcomes", topic):
            labelled = sorted(t for t in event_topics if self.members("outcomes", t))
            raise UnknownNameError("outcome topic", topic, labelled)
        stages: dict[Stage, bool] = {
            "outcomes": topic in event_topics,
            "join": True,
            "train": until in ("models", "serve"),
            "serve": until == "serve",
        }
        return [stage for stage, is_passed in stages.items() if is_passed]

    def members(self, stage: Stage, topic: str) -> list[str]:
        """Members of a stage that read a topic; those of ``serve`` come and go, and are not in the plan."""
        plan = self._plan
        if stage == "features":
            source = next(s for s in plan.sources if s.topic == topic)
            direct = any(plan.is_direct(view) for view in plan.views_of(source.name))
            return ["direct"] * direct + [f"shard-{n}" for n in range(source.shards)]
        if stage == "outcomes":
            labelled = [r for r in plan.routers if r.outcome is not None]
            return [r.name for r in labelled if r.outcome and plan.source(r.outcome.source).topic == topic]
        if stage == "train":
            if topic in {plan.topics.router(r.name).closings for r in plan.routers}:
                return [EPOCHS]
            return [
                arm for r in plan.routers if plan.topics.router(r.name).examples == topic for arm in r.arms
            ]
        return [""]

    def behind(self, progress: Mapping[Where, Progress], stage: Stage, targets: Offsets) -> Iterator[str]:
        """Say of every member of a stage that has not reached its targets how far it is."""
        for (topic, partition), target in targets.items():
            members = self.members(stage, topic)
            if stage == "serve":
                members = _live_replicas(progress, topic, partition)
                if not members:
                    yield f"stage serve has no live replica for {topic}[{partition}]"
            for member in members:
                reached = progress.get((stage, topic, partition, member), Progress(0)).next_offset
                if reached < target:
                    who = f" ({member})" if member else ""
                    yield f"stage {stage}{who} has {topic}[{partition}] up to offset {reached} of {target}"

    def outputs(self, progress: Mapping[Where, Progress], stage: Stage, inputs: Offsets) -> Offsets:
        """What the next stage has to reach, once this one has reached its targets."""
        if stage == "train":
            return dict(inputs)
        ends: dict[tuple[str, int], int] = {}
        for topic, partition in inputs:
            for member in self.members(stage, topic):
                for name, end in progress[stage, topic, partition, member].out.items():
                    out_topic, out_partition = name.rsplit("|", 1)
                    output = out_topic, int(out_partition)
                    ends[output] = max(end, ends.get(output, 0))
        return ends


def _live_replicas(progress: Mapping[Where, Progress], topic: str, partition: int) -> list[str]:
    now_ms = time.time_ns() // 1_000_000
    return [
        member
        for (stage, *of, member), record in progress.items()
        if (stage, *of) == ("serve", topic, partition) and now_ms - record.at_ms < REPLICA_TIMEOUT_MS
    ]
