"""The topics of a plan: made where they are missing, checked where they exist, led by a broker.

Every topic made here keeps its records for ever (`retention.ms=-1`). Their timestamps are event time, and
the broker deletes by timestamp: replayed history would be gone within minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic

from deploy.mock_kafka import CLUSTER_ID_PREFIX
from schemas import topics
from schemas.errors import ServiceUnavailable, SettingsError
from schemas.plan import Plan, RouterSpec, SourceSpec

_KEEP = {"retention.ms": "-1"}
_COMPACT = {"cleanup.policy": "compact"}
_LARGE = {"max.message.bytes": str(8 << 20)}  # a message of these holds a whole range, or a key's state
_REQUEST_S = 15.0


@dataclass(frozen=True)
class TopicSpec:
    """A topic that has to be there."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def event_topics(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source.topic for source in plan.sources))


def internal_topics(plan: Plan, partitions: Mapping[str, int]) -> list[TopicSpec]:
    """The topics Headrace owns.

    Parameters
    ----------
    partitions
        Event topic to its partition count.
    """
    found = [
        TopicSpec(topics.dead_letters(plan.project), 1, _KEEP),
        TopicSpec(topics.late(plan.project), 1, _KEEP),
    ]
    for source in plan.sources:
        found += _of_source(plan.project, source, partitions[source.topic])
    for router in plan.routers:
        found += _of_router(plan.project, router)
    return found


def _of_source(project: str, source: SourceSpec, partitions: int) -> Iterator[TopicSpec]:
    state = _COMPACT | _LARGE
    yield TopicSpec(topics.changelog(project, source.name), partitions, state)
    if source.shards:
        yield TopicSpec(topics.shuffle(project, source.name), source.shards, _KEEP | _LARGE)
        yield TopicSpec(topics.shuffle_changelog(project, source.name), source.shards, state)


def _of_router(project: str, router: RouterSpec) -> Iterator[TopicSpec]:
    yield TopicSpec(topics.predictions(project, router.name), router.partitions, _KEEP)
    yield TopicSpec(topics.outcomes(project, router.name), router.partitions, _KEEP)
    yield TopicSpec(topics.closings(project, router.name), router.partitions, _KEEP)
    yield TopicSpec(topics.join_changelog(project, router.name), router.partitions, _COMPACT | _LARGE)
    yield TopicSpec(topics.examples(project, router.name), 1, _KEEP)
    yield TopicSpec(topics.epochs(project, router.name), 1, _KEEP)


def all_topics(plan: Plan, event_partitions: int) -> dict[str, int]:
    """Every topic of the plan with its partition count, when all event topics have `event_partitions`."""
    counts = dict.fromkeys(event_topics(plan), event_partitions)
    return counts | {spec.name: spec.partitions for spec in internal_topics(plan, counts)}


def ensure_topics(
    bootstrap: str, plan: Plan, replication: int = 1, event_partitions: int = 4, timeout_s: float = 60.0
) -> dict[str, int]:
    """Create what is missing, and wait until every partition has a leader.

    An event topic that exists is taken as it is. librdkafka's built-in broker cannot be asked to create a
    topic; there they appear as they are first looked at.

    Parameters
    ----------
    bootstrap
        Address of the brokers.
    replication
        Replicas of each partition.
    event_partitions
        Partitions of an event topic that does not exist yet.

    Returns
    -------
    dict
        Topic to its partition count.

    Raises
    ------
    SettingsError
        When an internal topic exists with another partition count.
    ServiceUnavailable
        When the brokers cannot be reached, refuse a topic, or a partition has no leader in time.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    deadline = time.monotonic() + timeout_s
    try:
        found = _metadata(admin)
        wanted = _with_counts_of_events(plan, found, event_partitions)
        _check(wanted, found)
        missing = [spec for spec in wanted if spec.name not in found.topics]
        if str(found.cluster_id).startswith(CLUSTER_ID_PREFIX):
            for spec in missing:
                admin.list_topics(spec.name, timeout=_REQUEST_S)
        else:
            _create(admin, missing, replication)
        while not _led(wanted, found := _metadata(admin)):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(_without_leader(wanted, found, bootstrap))
            time.sleep(0.05)
        _check(wanted, found)
    except KafkaException as error:
        raise ServiceUnavailable(
            f"Kafka at '{bootstrap}': {error.args[0].str()}; does it run, and is HEADRACE_KAFKA its address?"
        ) from error
    return {spec.name: spec.partitions for spec in wanted}


def _metadata(admin: AdminClient) -> ClusterMetadata:
    return admin.list_topics(timeout=_REQUEST_S)


def _with_counts_of_events(plan: Plan, found: ClusterMetadata, default: int) -> list[TopicSpec]:
    counts = {
        name: len(found.topics[name].partitions) if name in found.topics else default
        for name in event_topics(plan)
    }
    events = [TopicSpec(name, count, _KEEP) for name, count in counts.items()]
    return events + internal_topics(plan, counts)


def _check(wanted: list[TopicSpec], found: ClusterMetadata) -> None:
    for spec in wanted:
        if spec.name in found.topics and len(found.topics[spec.name].partitions) != spec.partitions:
            raise SettingsError(
                f"topic '{spec.name}' has {len(found.topics[spec.name].partitions)} partitions, the plan "
                f"needs {spec.partitions}. Stop Headrace, delete the topic and run `headrace apply` again to "
                "have it made anew, or take back the change of the plan"
            )


def _create(admin: AdminClient, missing: list[TopicSpec], replication: int) -> None:
    if not missing:
        return
    new = [NewTopic(s.name, s.partitions, replication, config=dict(s.config)) for s in missing]
    for name, created in admin.create_topics(new, operation_timeout=_REQUEST_S).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another process was quicker
            raise ServiceUnavailable(
                f"Kafka refused to create topic '{name}': {error.args[0].str()}; create it with these "
                "partitions yourself, or see HEADRACE_REPLICATION and the user's rights"
            ) from error


def _led(wanted: list[TopicSpec], found: ClusterMetadata) -> bool:
    return not any(True for _ in _leaderless(wanted, found))


def _leaderless(wanted: list[TopicSpec], found: ClusterMetadata) -> Iterator[str]:
    for spec in wanted:
        topic = found.topics.get(spec.name)
        if topic is None or not topic.partitions:
            yield spec.name
        else:
            yield from (f"{spec.name}[{n}]" for n, p in topic.partitions.items() if p.leader < 0)


def _without_leader(wanted: list[TopicSpec], found: ClusterMetadata, bootstrap: str) -> str:
    names = ", ".join(list(_leaderless(wanted, found))[:5])
    return f"Kafka at '{bootstrap}' has no leader for {names}; see whether all its brokers run"
