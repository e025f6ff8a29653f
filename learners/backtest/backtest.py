"""Learners and routers over the past as they would have served, and what of it is as it was."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from headrace.learners.backtest.arm_tasks import ArmTask, Report, asked_as_of, of_definition, run_all
from headrace.learners.backtest.past_log import PastLog
from headrace.learners.backtest.results import BacktestResult, result_of
from headrace.learners.backtest.router_run import run_router
from headrace.learners.backtest.served import Served, spool
from headrace.learners.models.versions import read_versions
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka


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
        asked_as = {arm: asked_as_of(arm, router, served) for arm in router.arms}
        tasks = [
            ArmTask(
                repository,
                plan,
                arm,
                log,
                served,
                served.prefixes[asked_as[arm]][np.newaxis],
                of_definition(versions, arm, plan.learner(arm).definition),
            )
            for arm in router.arms
        ]
        runs = run_all(tasks, processes, report)
        past = list(log.epochs())
        scores = {arm: runs[arm].scores[0] for arm in router.arms}
        made = run_router(plan, router, served, past, scores)
        return result_of(in_force, plan, router, served, runs, asked_as, past, made)


def _check_features(plan: Plan, router: RouterSpec, served: Served) -> None:
    for ref in plan.router_features(router):
        names = [each.name for each in plan.logged_names(ref)]
        if len(served) and not served.features.intersection(names):
            raise PlanError(
                f"router '{router.name}' reads '{ref.full_name}', which no logged prediction has: leave it "
                "out of this try, or apply the plan and try when predictions were made with it"
            )
