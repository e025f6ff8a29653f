"""`headrace healthy`: whether the processes of a kind move, and by which plan."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from headrace.deploy.commands.status import UNREAD_REMEDY, StageStatus, Status
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import read_log
from headrace.streams.progress import SILENT_MS, RunningProcess

_CONFIRM_S, _LOOK_S = 5.0, 0.2
_OF_PROCESS = {
    "worker": ("features",),
    "join": ("outcomes", "join"),
    "train": ("train",),
    "serve": ("serve",),
}


def standstill(
    status: Status, process: str, longest_s: float, has_records: Callable[[Iterable[StageStatus]], bool]
) -> str | None:
    """Describe the standstill of a kind of process, or return None while there is none.

    Processes of a kind stand still when they have records before them and none of them has reported progress
    for `longest_s` seconds.

    Parameters
    ----------
    has_records
        Whether any of these stages has a record to read: what lies before it may be markers of transactions,
        or what was aborted, which no consumer sees.
    """
    stages = [s for s in status.stages if s.stage in _OF_PROCESS[process]]
    lag = sum(s.lag for s in stages)
    silent_s = min((s.age_ms for s in stages), default=0) / 1000
    if lag and silent_s > longest_s and has_records(s for s in stages if s.lag):
        return f"{process} has {lag:,} records before it and has not moved for {silent_s:.0f} s"
    return None


def stands_still(
    look: Callable[[], Status],
    process: str,
    longest_s: float,
    has_records: Callable[[Iterable[StageStatus]], bool],
) -> str | None:
    """Describe a standstill that lasts while it is looked at for some seconds.

    A record that has just come after a long silence, or has just been committed, is no standstill.

    Parameters
    ----------
    look
        Reads the status.
    process, longest_s, has_records
        See `standstill`.
    """
    before, deadline_s = _reached(look(), process), time.monotonic() + min(longest_s, _CONFIRM_S)
    while (status := look()) and (problem := standstill(status, process, longest_s, has_records)) is not None:
        if _reached(status, process) != before:
            return None
        if time.monotonic() >= deadline_s:
            return problem
        time.sleep(_LOOK_S)
    return None


def _reached(status: Status, process: str) -> list[int]:
    return [stage.visible for stage in status.stages if stage.stage in _OF_PROCESS[process]]


def has_records(kafka: Kafka, stages: Iterable[StageStatus]) -> bool:
    """Whether a partition has a record behind what is visible of it that consumers can read now."""
    places = ((stage.topic, partition, at) for stage in stages for partition, at in stage.behind.items())
    return any(next(read_log(kafka, *place), None) is not None for place in places)


def unprocessed(plan: Plan, status: Status, process: str) -> str | None:
    """Name the partitions of a kind of process that were added, and that the plan does not know."""
    read = _topics_of(plan, process)
    unread = {where: n for where, n in status.unread.items() if where.rpartition("[")[0] in read}
    if not unread:
        return None
    listed = ", ".join(f"{where} ({count:,} records)" for where, count in unread.items())
    return f"{process} does not process {listed}: {UNREAD_REMEDY}"


def _topics_of(plan: Plan, process: str) -> set[str]:
    """Event topics for a worker, and topics of routers for a join."""
    if process == "worker":
        return {source.topic for source in plan.sources}
    if process == "join":
        routers = [plan.topics.router(router.name) for router in plan.routers]
        return {topic for router in routers for topic in (router.predictions, router.outcomes)}
    return set()


def replaced(plan: Plan, status: Status, process: str, longest_s: float) -> str | None:
    """Say that all processes of a kind that run have had a plan that is not in force for `longest_s` seconds.

    None while one of them has the plan in force, or none runs.
    """
    running = _running(status, process)
    since_ms = [one.replaced_ms for one in running if one.replaced_ms is not None]
    if not running or len(since_ms) < len(running):
        return None
    for_s = time.time() - max(since_ms) / 1000
    if for_s <= longest_s:
        return None
    names = ", ".join(sorted({one.plan[:12] for one in running}))
    in_force = f"{plan.hash[:12]} has been in force for {for_s:.0f} s"
    return f"{process} runs by plan {names}, while {in_force}; start it anew"


def describe_plans(status: Status, process: str) -> str:
    """Say how many processes of a kind run by which plan."""
    running = _running(status, process)
    counted = Counter(one.plan[:12] for one in running)
    by_plan = ", ".join(f"{count} by plan {name}" for name, count in sorted(counted.items()))
    return f"{process}: {by_plan or 'no process has said that it runs'}"


def _running(status: Status, process: str) -> list[RunningProcess]:
    return [one for one in status.processes if one.kind == process and one.silent_ms() <= SILENT_MS]
