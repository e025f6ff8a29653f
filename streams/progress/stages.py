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
        self._plan, self._name = plan, f"plan {plan.hash[:12]}"

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

    def members(self, stage: str, topic: str) -> list[str]:
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

    def has(self, where: Where, record: Progress) -> bool:
        """Whether a record of progress is of a member that the plan has; replicas are while they report."""
        stage, topic, _, member = where
        sources = {source.topic for source in self._plan.sources}
        routers = [self._plan.topics.router(router.name) for router in self._plan.routers]
        examples_and_closings = {topic for router in routers for topic in (router.examples, router.closings)}
        read: Mapping[str, set[str]] = {
            "features": sources,
            "outcomes": sources,
            "join": {topic for router in routers for topic in (router.predictions, router.outcomes)},
            "train": examples_and_closings,
            "serve": examples_and_closings,
        }
        if topic not in read.get(stage, ()):
            return False
        return is_live(record) if stage == "serve" else member in self.members(stage, topic)

    def counts(self, name: str) -> bool:
        """Whether counts under a name of `counts_key` are of what the plan has.

        >>> from headrace.schemas.plan import Plan
        >>> PlanStages(Plan(project="shop")).counts("intake|clicks|0")
        False
        """
        kind, *where = name.split("|")
        first, second, *_ = [*where[:-1], "", ""]
        if kind == "join":
            return any(router.name == first for router in self._plan.routers)
        if kind == "outcomes":
            return first in self.members("outcomes", second)
        if all(source.topic != first for source in self._plan.sources):
            return False
        return kind != "sums" or second in self.members("features", first)

    def behind(self, progress: Mapping[Where, Progress], stage: Stage, targets: Offsets) -> Iterator[str]:
        """Say of every member of a stage that has not reached its targets how far it is."""
        for (topic, partition), target in targets.items():
            members = self.members(stage, topic)
            if stage == "serve":
                members = self._live_replicas(progress, topic, partition)
                if not members:
                    yield f"stage serve has no live replica of {self._name} for {topic}[{partition}]"
            for member in members:
                record = progress.get((stage, topic, partition, member), Progress(0, plan=self._plan.hash))
                who = f"stage {stage}" + (f" ({member})" if member else "")
                if record.plan != self._plan.hash:
                    other = f"plan {record.plan[:12]}" if record.plan else "an earlier version of Headrace"
                    wanted = f"not by {self._name}: start that process, or the client that waits, anew"
                    yield f"{who} has {topic}[{partition}] by {other}, {wanted}"
                elif record.next_offset < target:
                    reached = record.next_offset
                    yield f"{who} has {topic}[{partition}] up to offset {reached} of {target}"

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

    def _live_replicas(self, progress: Mapping[Where, Progress], topic: str, partition: int) -> list[str]:
        return [
            member
            for (stage, *of, member), record in progress.items()
            if (stage, *of) == ("serve", topic, partition)
            and record.plan == self._plan.hash
            and is_live(record)
        ]


def is_live(record: Progress) -> bool:
    """Whether a replica has reported lately."""
    return time.time_ns() // 1_000_000 - record.at_ms < REPLICA_TIMEOUT_MS
