"""What freshness is worth: the newest predictions, answered by versions of some time before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.learners.backtest.arm_tasks import ArmTask, Report, asked_as_of, run_all
from headrace.learners.backtest.past_log import PastLog
from headrace.learners.backtest.results import metrics_of
from headrace.learners.backtest.served import Served, spool
from headrace.learners.models.versions import read_versions
from headrace.schemas.domains import TargetKind
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka


@dataclass(frozen=True)
class Freshness:
    """Metrics of a router's arms by the age of the version that answers.

    Attributes
    ----------
    router
        Its name.
    kind
        Of its target.
    answered
        How many predictions are answered, all by every age.
    ages_ms
        How much older than the version that was served then, in event time; those that the log reaches back
        to.
    metrics
        By arm, for each age.
    """

    router: str
    kind: TargetKind
    answered: int
    ages_ms: tuple[int, ...]
    metrics: dict[str, list[dict[str, Any]]]


def freshness(
    kafka: Kafka,
    in_force: Plan,
    plan: Plan,
    router_name: str,
    repository: Path,
    ages_ms: Sequence[int],
    last_ms: int,
    report: Report,
    processes: int | None = None,
) -> Freshness:
    """Answer the closed predictions of the last time that have a label, by versions of several ages.

    Parameters
    ----------
    ages_ms
        Milliseconds of event time; 0 is the version that was served.
    last_ms
        How far before the newest prediction with a label the first one is, in milliseconds of event time.

    Raises
    ------
    PlanError
        When no prediction is closed yet.
    ServiceUnavailable
        When Kafka does not answer.
    """
    router = plan.router(router_name)
    log = PastLog.now(kafka, in_force, router_name)
    versions = read_versions(kafka, in_force.project)
    with TemporaryDirectory(prefix="headrace-freshness-") as folder:
        served = spool(log, versions, Path(folder))
        prefixes = {arm: served.prefixes[asked_as_of(arm, router, served)] for arm in router.arms}
        ages = _reached(served, ages_ms, last_ms)
        schedules = {arm: schedule(served, prefixes[arm], ages, last_ms) for arm in router.arms}
        tasks = [ArmTask(repository, plan, arm, log, served, schedules[arm], ()) for arm in router.arms]
        report(f"{len(served):,} closed predictions, answered by versions of {len(ages)} ages")
        runs = run_all(tasks, processes, report)
    counted = [int((schedules[arm][0] >= 0).sum()) for arm in router.arms]
    metrics = {
        arm: [metrics_of(scores, served.labels, router.domain) for scores in runs[arm].scores]
        for arm in router.arms
    }
    return Freshness(router_name, router.domain.kind, max(counted, default=0), tuple(ages), metrics)


def schedule(
    served: Served, prefixes: NDArray[np.int64], ages_ms: Sequence[int], last_ms: int
) -> NDArray[np.int64]:
    """Return for each age and closing the prefix that had been learned so much earlier.

    Parameters
    ----------
    prefixes
        Of shape (n,): what had been learned by the version that was served.

    Returns
    -------
    ndarray
        Of shape (len(ages_ms), n); -1 for closings without a label, and before the last time.
    """
    times, known = served.times, prefixes >= 0
    order = np.argsort(times[known], kind="stable")
    served_at, learned = times[known][order], np.maximum.accumulate(prefixes[known][order])
    asked = known & served.has_label & (times > _newest_ms(served) - last_ms)
    found = np.full((len(ages_ms), len(served)), -1, dtype=np.int64)
    for row, age_ms in enumerate(ages_ms):
        place = np.searchsorted(served_at, times - age_ms, "right") - 1
        found[row] = prefixes if age_ms == 0 else np.where(place >= 0, learned[place], -1)
    return np.where(asked & (found >= 0).all(axis=0), found, -1)


def _reached(served: Served, ages_ms: Sequence[int], last_ms: int) -> list[int]:
    """Return the ages of which there are versions for all of the last time."""
    reach_ms = _newest_ms(served) - int(served.times.min(initial=_newest_ms(served)))
    return [age_ms for age_ms in sorted({0, *ages_ms}) if age_ms == 0 or age_ms + last_ms <= reach_ms]


def _newest_ms(served: Served) -> int:
    """Return the time of the newest prediction with a label; 0 without one."""
    return int(served.times[served.has_label].max(initial=0))
