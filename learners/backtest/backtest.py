"""Learners and routers over the past as they would have served, and what of it is as it was."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from headrace.learners.backtest.arm_run import ArmRun, run_arm
from headrace.learners.backtest.past_log import PastLog
from headrace.learners.backtest.results import BacktestResult, result_of
from headrace.learners.backtest.router_run import run_router
from headrace.learners.backtest.served import Served, spool
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.project import load_project
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka

Report = Callable[[str], None]


@dataclass(frozen=True)
class _Task:
    repository: Path
    plan: Plan
    learner: str
    log: PastLog
    served: Served
    schedule: NDArray[np.int64]
    published: tuple[PublishedVersion, ...]


def backtest(
    kafka: Kafka,
    in_force: Plan,
    plan: Plan,
    router_name: str,
    repository: Path,
    report: Report,
    processes: int | None = None,
) -> BacktestResult:
    """Run the learners and the policy of a router over its log, in one process for each learner.

    Each answers as the version that was served then, at the same prefix of the examples, and learns the
    examples in the order of the log. What is deployed gives what was served, bit for bit.

    Parameters
    ----------
    in_force
        The plan in force, whose topics are read.
    plan
        The plan to try.
    repository
        Has the ``learners.py`` of the plan to try.
    report
        Takes a line of progress.
    processes
        At most so many at a time; None: one for each core.

    Raises
    ------
    PlanError
        When a learner reads a feature that was never served.
    ServiceUnavailable
        When Kafka does not answer.
    """
    router = plan.router(router_name)
    log = PastLog.now(kafka, in_force, router_name)
    versions = read_versions(kafka, in_force.project)
    with TemporaryDirectory(prefix="headrace-backtest-") as folder:
        served = spool(log, versions, Path(folder))
        report(f"{len(served):,} closed predictions of router '{router_name}'")
        _check_features(plan, router, served)
        asked_as = {arm: _asked_as(arm, router, served) for arm in router.arms}
        tasks = [
            _Task(
                repository,
                plan,
                arm,
                log,
                served,
                served.prefixes[asked_as[arm]],
                _of_definition(versions, arm, plan.learner(arm).definition),
            )
            for arm in router.arms
        ]
        runs = _run_all(tasks, processes or os.cpu_count() or 1, report)
        past = list(log.epochs())
        scores = {arm: runs[arm].scores for arm in router.arms}
        made = run_router(plan, router, served, past, scores)
        return result_of(in_force, plan, router, served, runs, asked_as, past, made)


def _run(task: _Task) -> ArmRun:
    learner = load_project(task.repository).learner(task.learner)
    return run_arm(task.plan, learner, task.log, task.served, task.schedule, task.published)


def _run_all(tasks: Sequence[_Task], processes: int, report: Report) -> dict[str, ArmRun]:
    """Run each task in a process of its own."""
    runs: dict[str, ArmRun] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(tasks)), context, max_tasks_per_child=1) as pool:
        futures: list[Future[ArmRun]] = [pool.submit(_run, task) for task in tasks]
        for future in as_completed(futures):
            run = future.result()
            runs[run.name] = run
            report(f"{run.name}: {run.examples:,} examples")
    return runs


def _check_features(plan: Plan, router: RouterSpec, served: Served) -> None:
    for ref in plan.router_features(router):
        names = [each.name for each in plan.logged_names(ref)]
        if len(served) and not served.features.intersection(names):
            raise PlanError(
                f"router '{router.name}' reads '{ref.full_name}', which no logged prediction has: leave it "
                "out of this try, or apply the plan and try when predictions were made with it"
            )


def _asked_as(arm: str, router: RouterSpec, served: Served) -> str:
    """Return the arm at whose versions' places a learner is asked."""
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


def _of_definition(
    versions: Iterable[PublishedVersion], arm: str, definition: str
) -> tuple[PublishedVersion, ...]:
    return tuple(one for one in versions if (one.name, one.definition) == (arm, definition))
