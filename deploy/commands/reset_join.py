"""Make the state of a router's join anew, from the logs of its inputs and of what it has given out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from headrace.deploy.commands.at_rest import refuse_running
from headrace.deploy.commands.intake_states import intake_counts, intake_records
from headrace.deploy.commands.topic_deletion import delete_topics
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.processes import current_plan, join_config
from headrace.deploy.settings import Settings
from headrace.schemas.errors import HeadraceError, StateError
from headrace.schemas.plan import Plan
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.join.changelog import (
    POSITION_KEY,
    changelog_key,
    decode_position,
    encode_key,
    encode_position,
)
from headrace.streams.join.config import join_group
from headrace.streams.join.identity import input_ids
from headrace.streams.join.outcome_reader import IntakeCounts
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.rebuild import rebuild_join
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.group_offsets import committed_offsets, set_offsets
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.log.reader import read_log
from headrace.streams.producers.outbox import Deliveries, Outbox

_MAX_BYTES = 8 << 20  # a key of the changelog holds whole predictions
_AT_ONCE = 5_000
Places = dict[tuple[str, int], int]


@dataclass(frozen=True)
class JoinReset:
    """What a reset of a router's join will do.

    Attributes
    ----------
    topics
        Of the router.
    read
        By topic and partition of its inputs, the next offset up to which they are joined once more.
    gone
        Records of the inputs that Kafka does not have any more.
    moved
        Places whose topic ends before what the group had read: they are read from their beginning.
    """

    topics: RouterTopics
    read: Places
    gone: int
    moved: tuple[tuple[str, int], ...]

    def describe(self) -> str:
        """Return the cost, in words."""
        names = sorted({f"{topic}[{partition}]" for topic, partition in self.moved})
        return (
            f"The state of the join of router '{self.topics.router}' is thrown away, and made anew from "
            f"{sum(self.read.values()) - self.gone:,} predictions and outcomes; what they have led to is in "
            f"its topics already and is not given out again. {self.gone:,} are not there any more: those "
            "predictions among them that still wait for an outcome are lost, and so are their counts. "
            f"Deleted and made again: {self.topics.join_changelog}."
            + (
                f"\nRead from the beginning, as they are other topics than before: {', '.join(names)}."
                * bool(names)
            )
        )


def plan_join_reset(kafka: Kafka, plan: Plan, name: str) -> JoinReset:
    """Return what a reset would do; see `reset_join`.

    Raises
    ------
    UnknownNameError
        When the plan has no such router.
    HeadraceError
        When joins run, or Kafka has forgotten how far they had read.
    ServiceUnavailable
        When Kafka does not answer.
    """
    router = plan.router(name)
    topics = plan.topics.router(name)
    group = join_group(plan.project)
    admin = refuse_running(kafka, plan, group, "joins")
    places = [(topics.input(source), n) for source in INPUTS for n in range(router.partitions)]
    begins, ends = admin.begin_offsets(places), admin.end_offsets(places)
    read = committed_offsets(kafka, group, places)
    outputs = [(topics.examples, 0), *((topics.closings, n) for n in range(router.partitions))]
    known, now = _known_ids(kafka, topics), input_ids(admin, topics)
    remade = {topics.input(one) for one in INPUTS if known.get(one, now.get(one)) != now.get(one)}
    if not (read or remade) and any(admin.end_offsets(outputs).values()):
        raise HeadraceError(
            f"Kafka has forgotten how far group '{group}' had read (offsets.retention.minutes of its brokers "
            f"is the time), so nobody knows what router '{name}' has given out already; a new name of the "
            "project in feature_store.yaml begins anew"
        )
    moved = tuple(place for place in places if place[0] in remade or read.get(place, 0) > ends[place])
    read |= dict.fromkeys(moved, 0)
    gone = sum(min(begins[place], offset) for place, offset in read.items())
    return JoinReset(topics, read, gone, moved)


def _known_ids(kafka: Kafka, topics: RouterTopics) -> Mapping[Input, str]:
    """Return the ids of the topics that the changelog is of, as far as it still says so."""
    ids: dict[Input, str] = {}
    found = KafkaAdmin(kafka).metadata().topics.get(topics.join_changelog)
    for partition in found.partitions if found else ():
        for message in read_log(kafka, topics.join_changelog, partition):
            if message.key() == POSITION_KEY and message.value() is not None:
                with suppress(StateError):
                    ids.update(decode_position(message.value()).topic_ids)
    return ids


def reset_join(
    kafka: Kafka,
    plan: Plan,
    name: str,
    settings: Settings,
    counts: Mapping[int, IntakeCounts],
    tell: Callable[[str], None],
) -> None:
    """Delete the changelog of a router's join, and write it anew.

    May be run again when it was interrupted: until all is written, joins refuse to start.

    Parameters
    ----------
    counts
        By partition of the event topic that outcomes come out of, what became of its records.

    Raises
    ------
    UnknownNameError, HeadraceError, ServiceUnavailable
        As `plan_join_reset` does.
    DeliveryError
        When Kafka did not take a record.
    """
    planned, router = plan_join_reset(kafka, plan, name), plan.router(name)
    set_offsets(kafka, join_group(plan.project), dict.fromkeys(planned.moved, 0))
    delete_topics(kafka, [planned.topics.join_changelog])
    ensure_topics(kafka, plan, settings.replication, allow_moved_keys=True)
    outbox = Outbox({**client_config(kafka), "message.max.bytes": _MAX_BYTES})
    _write(outbox, planned.topics, 0, intake_records(kafka, plan, router, counts))
    ids = input_ids(KafkaAdmin(kafka), planned.topics)
    max_future_ms, config = plan.max_future_ms(router), join_config(settings)
    for partition in range(router.partitions):
        read = {source: planned.read.get((planned.topics.input(source), partition), 0) for source in INPUTS}
        join = rebuild_join(kafka, plan.project, router, partition, read, max_future_ms, config)
        join.topic_ids = ids
        _write(outbox, planned.topics, partition, _state_records(join))
        counted = join.counts
        tell(
            f"{planned.topics.join_changelog}[{partition}]: {counted.pending:,} predictions wait, "
            f"{counted.parked:,} outcomes"
        )


def _state_records(join: PartitionJoin) -> list[tuple[bytes, bytes]]:
    """Return the keys and, last, the position: without it they do not count."""
    keys = [(changelog_key(key), encode_key(state)) for key, state in join.keys.items()]
    return [*keys, (POSITION_KEY, encode_position(join.position()))]


def _write(outbox: Outbox, topics: RouterTopics, partition: int, records: list[tuple[bytes, bytes]]) -> None:
    deliveries = Deliveries(topics.join_changelog)
    for start in range(0, len(records), _AT_ONCE):
        part = records[start : start + _AT_ONCE]
        outbox.send([KafkaRecord(value, key, partition=partition) for key, value in part], deliveries)
        outbox.flush(deliveries)


def run_reset_join(
    settings: Settings,
    router: str,
    confirm: Callable[[str], None] | None,
    report: Callable[[str], None],
) -> None:
    """Throw the state of a router's join away, and make it anew from its topics.

    Parameters
    ----------
    router
        Name of the router.
    confirm
        Called with what a reset will do; raises to prevent it.
    report
        Called with lines that say what was done.
    """
    client, plan = current_plan(settings)
    kafka = settings.kafka_access
    if confirm is not None:
        confirm(plan_join_reset(kafka, plan, router).describe())
    counts = intake_counts(client, plan, plan.router(router))
    reset_join(kafka, plan, router, settings, counts, report)
