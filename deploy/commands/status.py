"""`headrace status`: progress and lag of every stage, and counts of what became of records."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from headrace.deploy.commands.partitions import unread_records
from headrace.deploy.commands.text_table import text_table
from headrace.deploy.commands.topic_specs import event_topics, internal_topics
from headrace.learners.training.group import TrainerMember
from headrace.schemas.plan import Plan
from headrace.streams.progress import (
    TWO_PARTITIONS,
    TWO_PARTITIONS_REMEDY,
    Progress,
    ProgressStore,
    Where,
    alarms_key,
    counts_key,
)

_STAGES = ("features", "outcomes", "join", "train", "serve")
_UNREAD_REMEDY = (
    "the topic had fewer partitions when the plan was applied. `headrace plan` says what that means and what "
    "to do"
)
_OF_PROCESS = {
    "worker": ("features",),
    "join": ("outcomes", "join"),
    "train": ("train",),
    "serve": ("serve",),
}


@dataclass(frozen=True)
class StageStatus:
    """A stage on one topic, all partitions together.

    Attributes
    ----------
    stage, topic, member
        See `headrace.streams.progress`.
    visible
        Number of records whose effects are visible downstream.
    lag
        Number of records in the topic that are not visible yet.
    age_ms
        Wall-clock time since any partition last reported.
    """

    stage: str
    topic: str
    member: str
    visible: int
    lag: int
    age_ms: int


@dataclass(frozen=True)
class Status:
    """A project at one moment. Counts are added up over partitions.

    Attributes
    ----------
    stages
        Every stage that has reported.
    intake
        Event topic to records applied, late, dead, and marks.
    sums
        "event topic, member" to overflowing sums.
    outcomes
        "router, topic" to what became of its labels.
    join
        Router to what became of its predictions and outcomes.
    expectations
        Event topic to records checked, and failed by rule.
    two_partitions
        Source to rows that replaced one of another partition.
    unread
        "topic[partition]" to records that no process of the plan reads.
    trainers
        The trainers that run, the owner first.
    """

    stages: tuple[StageStatus, ...]
    intake: Mapping[str, Mapping[str, int]]
    sums: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, Mapping[str, int]]
    join: Mapping[str, Mapping[str, int]]
    expectations: Mapping[str, Mapping[str, int]]
    two_partitions: Mapping[str, int]
    unread: Mapping[str, int]
    trainers: tuple[TrainerMember, ...] = ()


def topics_read(plan: Plan) -> set[str]:
    """Return the topics whose ends `read_status` needs."""
    inner = internal_topics(plan, dict.fromkeys(event_topics(plan), 1))
    return {*event_topics(plan), *(spec.name for spec in inner)}


def read_status(
    client: redis.Redis,
    plan: Plan,
    ends: Mapping[tuple[str, int], int],
    trainers: Sequence[TrainerMember] = (),
) -> Status:
    """Read what the stages have published.

    Parameters
    ----------
    ends
        (topic, partition) to end offset.
    trainers
        As `read_trainers` returns them.
    """
    progress = ProgressStore(client, plan).read()
    counts: Any = client.hgetall(counts_key(plan.project))
    decoded = {_text(name): json.loads(value) for name, value in counts.items()}
    intake, sums, outcomes, join, expectations = (
        _sums(decoded, kind) for kind in ("intake", "sums", "outcomes", "join", "expectations")
    )
    alarms: Any = client.hgetall(alarms_key(plan.project))
    begin = f"{TWO_PARTITIONS}|"
    two_partitions = {
        _text(name).removeprefix(begin): int(number)
        for name, number in alarms.items()
        if _text(name).startswith(begin)
    }
    stages = tuple(_stages(progress, ends))
    unread = {f"{topic}[{n}]": count for (topic, n), count in unread_records(plan, ends).items()}
    return Status(stages, intake, sums, outcomes, join, expectations, two_partitions, unread, tuple(trainers))


def standstill(plan: Plan, status: Status, process: str, longest_s: float) -> str | None:
    """Describe the standstill of a kind of process, or return None while there is none.

    Processes of a kind stand still when they have records before them and none of them has reported progress
    for `longest_s` seconds; and where partitions were added that the plan does not know.
    """
    stages = [s for s in status.stages if s.stage in _OF_PROCESS[process]]
    lag = sum(s.lag for s in stages)
    silent_s = min((s.age_ms for s in stages), default=0) / 1000
    if lag and silent_s > longest_s:
        return f"{process} has {lag:,} records before it and has not moved for {silent_s:.0f} s"
    read = _topics_of(plan, process)
    unread = {where: n for where, n in status.unread.items() if where.rpartition("[")[0] in read}
    if unread:
        listed = ", ".join(f"{where} ({count:,} records)" for where, count in unread.items())
        return f"{process} does not process {listed}: {_UNREAD_REMEDY}"
    return None


def _topics_of(plan: Plan, process: str) -> set[str]:
    """Event topics for a worker, and topics of routers for a join."""
    if process == "worker":
        return {source.topic for source in plan.sources}
    if process == "join":
        routers = [plan.topics.router(router.name) for router in plan.routers]
        return {topic for router in routers for topic in (router.predictions, router.outcomes)}
    return set()


def _stages(progress: Mapping[Where, Progress], ends: Mapping[tuple[str, int], int]) -> Iterator[StageStatus]:
    now = time.time_ns() // 1_000_000
    groups: dict[tuple[str, str, str], dict[int, Progress]] = {}
    for (stage, topic, partition, member), seen in progress.items():
        groups.setdefault((stage, topic, member), {})[partition] = seen
    for stage, topic, member in sorted(groups, key=lambda group: (_STAGES.index(group[0]), group)):
        partitions = groups[stage, topic, member]
        topic_ends = {partition: end for (name, partition), end in ends.items() if name == topic}
        lag = sum(max(0, end - partitions.get(p, Progress(0)).next_offset) for p, end in topic_ends.items())
        age_ms = now - max(seen.at_ms for seen in partitions.values())
        visible = sum(seen.next_offset for seen in partitions.values())
        yield StageStatus(stage, topic, member, visible, lag, age_ms)


def _sums(counts: Mapping[str, Mapping[str, int]], kind: str) -> dict[str, dict[str, int]]:
    sums: dict[str, Counter[str]] = {}
    for name, values in counts.items():
        counted_kind, *where, _ = name.split("|")
        if counted_kind == kind:
            counted = {what: count for what, count in values.items() if what != "next"}
            sums.setdefault(", ".join(where), Counter()).update(counted)
    return {where: dict(total) for where, total in sorted(sums.items())}


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def render_status(plan: Plan, status: Status) -> str:
    """Render the status as text for a terminal."""
    lines = [f"project {plan.project}, plan {plan.hash[:12]}", ""]
    rows = [("stage", "member", "topic", "visible", "lag", "reported")]
    for s in status.stages:
        age = f"{s.age_ms / 1000:.1f} s ago"
        rows.append((s.stage, s.member or "-", s.topic, f"{s.visible:,}", f"{s.lag:,}", age))
    lines += text_table(rows)
    if not status.stages:
        lines.append("nothing has reported yet; do the processes run?")
    for kind, counted in (
        ("records", status.intake),
        ("sums", {where: counts for where, counts in status.sums.items() if any(counts.values())}),
        ("labels", status.outcomes),
        ("join", status.join),
        ("expectations", status.expectations),
    ):
        for where, counts in counted.items():
            listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            lines += ["", f"{kind} of {where}: {listed}"]
    if len(status.trainers) > 1:
        names = [f"{one.name} {'trains' if one.is_owner else 'stands by'}" for one in status.trainers]
        lines += ["", f"trainers: {', '.join(names)}"]
    for source, number in status.two_partitions.items():
        lines += ["", f"ALARM source '{source}': {number:,} rows replaced one of another partition:"]
        lines += [f"one key is in two partitions. {TWO_PARTITIONS_REMEDY}"]
    for where, number in status.unread.items():
        lines += ["", f"ALARM {where}: {number:,} records are not processed: {_UNREAD_REMEDY}"]
    return "\n".join(line.rstrip() for line in lines)
