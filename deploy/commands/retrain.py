"""Have all learners learn anew from the examples, and all epochs be computed anew from the closings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.deploy.commands.at_rest import refuse_running
from headrace.deploy.commands.topic_deletion import delete_topics
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.processes import current_plan
from headrace.deploy.settings import Settings
from headrace.learners.training.group import train_group
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka


@dataclass(frozen=True)
class Retraining:
    """What it will do.

    Attributes
    ----------
    changelog
        Topic that is deleted and made again.
    records
        Examples and closings that are read again, marks among them.
    gone
        Those that Kafka does not have any more.
    """

    changelog: str
    records: int
    gone: int

    def describe(self) -> str:
        """Return the cost, in words."""
        return (
            f"All versions and epochs are made anew: {self.records:,} examples and closings are read again. "
            f"{self.gone:,} are not there any more, and are not learned from. Deleted and made again: "
            f"{self.changelog}. The records of past versions stay in their topic."
        )


def plan_retraining(kafka: Kafka, plan: Plan) -> Retraining:
    """Return what `retrain` would do.

    Raises
    ------
    HeadraceError
        When the plan has no router, or trainers run.
    ServiceUnavailable
        When Kafka does not answer.
    """
    if not plan.routers:
        raise HeadraceError(f"project '{plan.project}' has no routers; there is nothing to train")
    admin = refuse_running(kafka, plan, train_group(plan), "trainers")
    places = []
    for router in plan.routers:
        topics = plan.topics.router(router.name)
        places += [(topics.examples, 0), *((topics.closings, n) for n in range(router.partitions))]
    gone = sum(admin.begin_offsets(places).values())
    return Retraining(plan.topics.train_changelog, sum(admin.end_offsets(places).values()) - gone, gone)


def retrain(kafka: Kafka, plan: Plan, replication: int, tell: Callable[[str], None]) -> None:
    """Delete the changelog of the trainers, and make it anew, empty. May be run again when interrupted.

    Raises
    ------
    HeadraceError, ServiceUnavailable
        As `plan_retraining` does.
    """
    planned = plan_retraining(kafka, plan)
    delete_topics(kafka, [planned.changelog])
    ensure_topics(kafka, plan, replication, allow_moved_keys=True)
    tell(f"{planned.changelog}: deleted and made again")


def run_retrain(
    settings: Settings, confirm: Callable[[str], None] | None, report: Callable[[str], None]
) -> None:
    """Have trainers begin anew.

    Parameters
    ----------
    confirm
        Called with what it will do; raises to prevent it.
    report
        Called with lines that say what was done.
    """
    _, plan = current_plan(settings)
    if confirm is not None:
        confirm(plan_retraining(settings.kafka_access, plan).describe())
    retrain(settings.kafka_access, plan, settings.replication, report)
