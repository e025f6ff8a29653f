"""Learners over the past, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.learners.backtest.arm_run import ArmRun, run_arm
from headrace.learners.backtest.past_log import PastLog
from headrace.learners.backtest.served import Served
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.project import load_project
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec

Report = Callable[[str], None]


@dataclass(frozen=True)
class ArmTask:
    """A learner of a plan, and what it is asked; see `run_arm`.

    Attributes
    ----------
    repository
        Has the ``learners.py`` of the plan.
    """

    repository: Path
    plan: Plan
    learner: str
    log: PastLog
    served: Served
    schedule: NDArray[np.int64]
    published: tuple[PublishedVersion, ...]


def _run(task: ArmTask) -> ArmRun:
    learner = load_project(task.repository).learner(task.learner)
    return run_arm(task.plan, learner, task.log, task.served, task.schedule, task.published)


def run_all(tasks: Sequence[ArmTask], processes: int | None, report: Report) -> dict[str, ArmRun]:
    """Run each task in a process of its own; at most so many at a time, None: one for each core."""
    runs: dict[str, ArmRun] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(processes or os.cpu_count() or 1, len(tasks)), context, max_tasks_per_child=1
    ) as pool:
        futures: list[Future[ArmRun]] = [pool.submit(_run, task) for task in tasks]
        for future in as_completed(futures):
            run = future.result()
            runs[run.name] = run
            report(f"{run.name}: {run.examples:,} examples")
    return runs


def asked_as_of(arm: str, router: RouterSpec, served: Served) -> str:
    """Return the arm at whose versions' places a learner is asked: itself, or for a new one the champion.

    Raises
    ------
    PlanError
        When there is no closing.
    """
    if arm in served.prefixes:
        return arm
    others = [
        other for other in (router.champion, *router.arms, *served.prefixes) if other in served.prefixes
    ]
    if not others:
        raise PlanError(
            f"router '{router.name}' has no closed prediction yet: predictions are closed `wait` after they "
            "were made"
        )
    return others[0]


def of_definition(
    versions: Iterable[PublishedVersion], arm: str, definition: str
) -> tuple[PublishedVersion, ...]:
    """Return the versions of an arm by one definition."""
    return tuple(one for one in versions if (one.name, one.definition) == (arm, definition))
