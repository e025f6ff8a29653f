"""Begin the state of a source anew, from what its topic still has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.deploy.commands.at_rest import refuse_running
from headrace.deploy.commands.partitions import added_partitions
from headrace.deploy.commands.topic_deletion import delete_topics
from headrace.deploy.commands.topics import ensure_topics, topic_ends
from headrace.deploy.processes import current_plan
from headrace.deploy.settings import Settings
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin, partitions_of
from headrace.streams.log.group_offsets import committed_offsets, set_offsets
from headrace.streams.log.reader import log_bounds
from headrace.streams.worker.consumer_group import worker_group


@dataclass(frozen=True)
class Reset:
    """What a reset of a source will do.

    Attributes
    ----------
    source, topic
        The source and its event topic.
    records
        Records of the topic that are read again.
    gone
        Records that the topic does not have any more.
    deleted
        Topics that are deleted and made again, empty.
    added
        What it means that the topic has more partitions than the state; empty where it has not.
    """

    source: str
    topic: str
    records: int
    gone: int
    deleted: tuple[str, ...]
    added: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the cost, in words."""
        return (
            f"The state of source '{self.source}' is thrown away, and computed anew from topic "
            f"'{self.topic}': {self.records:,} records are read again. {self.gone:,} are not there any more: "
            f"windows that held them will be without them. Deleted and made again: "
            f"{', '.join(self.deleted)}. Online rows stay until their keys are reached again."
            + "".join(f"\n{line}" for line in self.added)
        )


def plan_reset(kafka: Kafka, plan: Plan, name: str) -> Reset:
    """Return what a reset would do; see `reset`.

    Raises
    ------
    UnknownNameError
        When the plan has no such source, or Kafka not its topic.
    HeadraceError
        When workers run.
    ServiceUnavailable
        When Kafka does not answer.
    """
    source = plan.source(name)
    admin = refuse_running(kafka, plan, worker_group(plan), "workers")
    partitions = partitions_of(admin.metadata(), source.topic)
    bounds = [log_bounds(kafka, source.topic, number) for number in partitions]
    records, gone = sum(end - begin for begin, end in bounds), sum(begin for begin, _ in bounds)
    added = [one for one in added_partitions(plan, topic_ends(kafka, plan)) if one.source.name == name]
    lines = [line for one in added if one.moving for line in (*one.lines(), one.remedy)]
    return Reset(name, source.topic, records, gone, tuple(_state_topics(plan, source)), tuple(lines))


def reset(kafka: Kafka, plan: Plan, name: str, replication: int, tell: Callable[[str], None]) -> None:
    """Delete the changelogs and the shuffle of a source and what its workers had read, and make them anew.

    May be run again when it was interrupted.

    Raises
    ------
    UnknownNameError, HeadraceError, ServiceUnavailable
        As `plan_reset` does.
    """
    planned = plan_reset(kafka, plan, name)
    _read_again(kafka, plan, (planned.topic, plan.topics.source(name).shuffle))
    tell(f"group {worker_group(plan)}: reads {planned.topic} from its beginning")
    delete_topics(kafka, planned.deleted)
    ensure_topics(kafka, plan, replication, allow_moved_keys=True)
    for topic in planned.deleted:
        tell(f"{topic}: deleted and made again")


def _state_topics(plan: Plan, source: SourceSpec) -> list[str]:
    own = plan.topics.source(source.name)
    return [own.changelog, *((own.shuffle, own.shuffle_changelog) if source.shards else ())]


def _read_again(kafka: Kafka, plan: Plan, topics: Sequence[str]) -> None:
    """Have workers read topics from their beginning; a topic may be deleted already."""
    known = KafkaAdmin(kafka).metadata().topics
    places = [(name, number) for name in topics if name in known for number in known[name].partitions]
    group = worker_group(plan)
    if places:
        set_offsets(kafka, group, dict.fromkeys(committed_offsets(kafka, group, places), 0))


def run_reset(
    settings: Settings,
    source: str,
    confirm: Callable[[str], None] | None,
    report: Callable[[str], None],
) -> None:
    """Throw the state of a source away, for workers that begin anew with what its topic still has.

    Parameters
    ----------
    source
        Name of the source.
    confirm
        Called with what a reset will do; raises to prevent it.
    report
        Called with lines that say what was done.
    """
    _, plan = current_plan(settings)
    if confirm is not None:
        confirm(plan_reset(settings.kafka_access, plan, source).describe())
    reset(settings.kafka_access, plan, source, settings.replication, report)
