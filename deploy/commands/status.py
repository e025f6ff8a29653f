"""`headrace status`: progress and lag of every stage, and counts of what became of records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import redis

from headrace.deploy.commands.partitions import unread_records
from headrace.deploy.commands.text_table import text_table
from headrace.learners.training.group import TrainerMember
from headrace.schemas.plan import Plan
from headrace.streams.progress import (
    SILENT_MS,
    TWO_PARTITIONS_REMEDY,
    PlanStages,
    ProcessRegistry,
    Progress,
    ProgressStore,
    RunningProcess,
    Where,
    read_counts,
    read_two_partitions,
)
from headrace.streams.runtime.internal_topics import event_topics, internal_settings

_STAGES = ("features", "outcomes", "join", "train", "serve")
UNREAD_REMEDY = (
    "the topic had fewer partitions when the plan was applied. `headrace plan` says what that means and what "
    "to do"
)


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
        Number of committed records in the topic that are not visible yet. Markers of transactions count too.
    behind
        Partition to next offset, of the partitions that have a lag.
    age_ms
        Wall-clock time since any partition last reported.
    plans
        Hashes of the plans that the partitions follow; empty text where a version of Headrace from before
        there were plans in progress wrote it.
    """

    stage: str
    topic: str
    member: str
    visible: int
    lag: int
    behind: Mapping[int, int]
    age_ms: int
    plans: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A project at one moment, by its plan in force. Counts are added up over partitions.

    Counts and alarms of what the plan does not have any more are left out.

    Attributes
    ----------
    stages
        Every stage of the plan in force that has reported.
    left
        Members that the plan in force does not have, and replicas that have gone.
    processes
        Processes, also those that were killed in the last day.
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
    event_times
        Lines on event topics that take timestamps from the future; see `describe_event_times`.
    """

    stages: tuple[StageStatus, ...]
    intake: Mapping[str, Mapping[str, int]]
    sums: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, Mapping[str, int]]
    join: Mapping[str, Mapping[str, int]]
    expectations: Mapping[str, Mapping[str, int]]
    left: tuple[StageStatus, ...]
    processes: tuple[RunningProcess, ...]
    two_partitions: Mapping[str, int]
    unread: Mapping[str, int]
    trainers: tuple[TrainerMember, ...] = ()
    event_times: tuple[str, ...] = ()


def topics_read(plan: Plan) -> set[str]:
    """Return the topics whose ends `read_status` needs."""
    return {*event_topics(plan), *internal_settings(plan)} if plan.needs_kafka else set()


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
        (topic, partition) to end offset of what is committed.
    trainers
        As `read_trainers` returns them.
    """
    progress, plan_stages = ProgressStore(client, plan).read(), PlanStages(plan)
    counted = {where: record for where, record in progress.items() if plan_stages.has(where, record)}
    left = {where: record for where, record in progress.items() if where not in counted}
    counts = {
        name: counted
        for name, counted in read_counts(client, plan.project).items()
        if plan_stages.counts(name)
    }
    intake, sums, outcomes, join, expectations = (
        _sums(counts, kind) for kind in ("intake", "sums", "outcomes", "join", "expectations")
    )
    direct = {view.source for view in plan.stream_views if plan.is_direct(view)}
    two_partitions = {
        source: number
        for source, number in read_two_partitions(client, plan.project).items()
        if source in direct
    }
    stages, gone = tuple(_stages(counted, ends)), tuple(_stages(left, ends))
    processes = tuple(ProcessRegistry(client, plan.project).read())
    unread = {f"{topic}[{n}]": count for (topic, n), count in unread_records(plan, ends).items()}
    counts_by_kind = (intake, sums, outcomes, join, expectations)
    return Status(stages, *counts_by_kind, gone, processes, two_partitions, unread, tuple(trainers))


def _stages(progress: Mapping[Where, Progress], ends: Mapping[tuple[str, int], int]) -> Iterator[StageStatus]:
    now = time.time_ns() // 1_000_000
    groups: dict[tuple[str, str, str], dict[int, Progress]] = {}
    for (stage, topic, partition, member), seen in progress.items():
        groups.setdefault((stage, topic, member), {})[partition] = seen
    for stage, topic, member in sorted(groups, key=lambda group: (_order(group[0]), group)):
        partitions = groups[stage, topic, member]
        topic_ends = {partition: end for (name, partition), end in ends.items() if name == topic}
        reached = {p: partitions.get(p, Progress(0)).next_offset for p in topic_ends}
        behind = {p: offset for p, offset in reached.items() if offset < topic_ends[p]}
        lag = sum(topic_ends[p] - offset for p, offset in behind.items())
        age_ms = now - max(seen.at_ms for seen in partitions.values())
        visible = sum(seen.next_offset for seen in partitions.values())
        plans = tuple(sorted({seen.plan for seen in partitions.values()}))
        yield StageStatus(stage, topic, member, visible, lag, behind, age_ms, plans)


def _order(stage: str) -> int:
    """Place of a stage; one of another version of Headrace comes last."""
    return _STAGES.index(stage) if stage in _STAGES else len(_STAGES)


def _sums(counts: Mapping[str, Mapping[str, int]], kind: str) -> dict[str, dict[str, int]]:
    sums: dict[str, Counter[str]] = {}
    for name, values in counts.items():
        counted_kind, *where = name.split("|")
        if counted_kind == kind:
            counted = {what: count for what, count in values.items() if what != "next"}
            sums.setdefault(", ".join(where[:-1]), Counter()).update(counted)
    return {where: dict(total) for where, total in sorted(sums.items())}


def _describe_processes(plan: Plan, processes: Sequence[RunningProcess]) -> list[str]:
    if not processes:
        return []
    rows = [("process", "name", "said", "plan")]
    for one in processes:
        said = _ago(one.silent_ms()) + (": gone, or paused" if one.silent_ms() > SILENT_MS else "")
        rows.append((one.kind, one.name, said, _plan_name(plan, one.plan)))
    lines = ["", *text_table(rows)]
    if any(one.plan != plan.hash and one.silent_ms() <= SILENT_MS for one in processes):
        lines.append("processes whose plan is not in force are to be started anew (setting follow_plan)")
    return lines


def _plan_name(in_force: Plan, plan: str) -> str:
    """Name a plan for the reader of a line."""
    if not plan:
        return "unknown"
    return plan[:12] if plan == in_force.hash else f"{plan[:12]} (not in force)"


def _ago(age_ms: int) -> str:
    return f"{age_ms / 1000:.1f} s ago"


def render_status(plan: Plan, status: Status) -> str:
    """Render the status as text for a terminal."""
    lines = [f"project {plan.project}, plan {plan.hash[:12]}", ""]
    rows = [("stage", "member", "topic", "visible", "lag", "reported", "plan")]
    for s in status.stages:
        plans = ", ".join(_plan_name(plan, name) for name in s.plans)
        lag = f"{s.lag:,}"
        rows.append((s.stage, s.member or "-", s.topic, f"{s.visible:,}", lag, _ago(s.age_ms), plans))
    lines += text_table(rows)
    if not status.stages:
        lines.append("nothing has reported yet; do the processes run?")
    lines += _describe_processes(plan, status.processes)
    for s in status.left:
        member, plans = s.member or "-", ", ".join(_plan_name(plan, name) for name in s.plans)
        lines += [
            "",
            f"gone: {s.stage} {member} of {s.topic}, {s.visible:,} visible, {_ago(s.age_ms)}, {plans}",
        ]
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
        lines += ["", f"ALARM {where}: {number:,} records are not processed: {UNREAD_REMEDY}"]
    lines += ["", *status.event_times] if status.event_times else []
    return "\n".join(line.rstrip() for line in lines)
