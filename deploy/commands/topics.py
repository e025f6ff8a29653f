"""The topics of a plan: made where they are missing, checked where they exist, until all have leaders."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata, NewTopic, TopicMetadata

from headrace.deploy.commands.topic_settings import (
    COMPACT,
    COMPACT_LATER,
    FOREVER,
    KEEP,
    LARGE,
    SettingDifference,
    differing_settings,
)
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics, SourceTopics
from headrace.streams.connections.kafka import Kafka, servers_of
from headrace.streams.connections.kafka_admin import REQUEST_S, KafkaAdmin


@dataclass(frozen=True)
class TopicSpec:
    """A topic that a plan needs."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def event_topics(plan: Plan) -> tuple[str, ...]:
    """Return the topics that a plan reads events from."""
    return tuple(dict.fromkeys(source.topic for source in plan.sources))


def internal_topics(plan: Plan, partitions: Mapping[str, int]) -> list[TopicSpec]:
    """Return the topics that Headrace owns.

    Parameters
    ----------
    partitions
        Event topic to its partition count.
    """
    specs = [
        TopicSpec(plan.topics.dead_letters, 1, KEEP | LARGE),
        TopicSpec(plan.topics.late, 1, KEEP | LARGE),
    ]
    for source in plan.sources:
        specs += _of_source(plan.topics.source(source.name), source, partitions[source.topic])
    if plan.routers:
        specs.append(TopicSpec(plan.topics.models, 1, KEEP))
        specs.append(TopicSpec(plan.topics.train_changelog, 1, COMPACT | LARGE))
    for router in plan.routers:
        specs += _of_router(plan.topics.router(router.name), router)
    return specs


def _of_source(topics: SourceTopics, source: SourceSpec, partitions: int) -> Iterator[TopicSpec]:
    state = COMPACT | LARGE
    yield TopicSpec(topics.changelog, partitions, state)
    if source.shards:
        yield TopicSpec(topics.shuffle, source.shards, KEEP | LARGE)
        yield TopicSpec(topics.shuffle_changelog, source.shards, state)


def _of_router(topics: RouterTopics, router: RouterSpec) -> Iterator[TopicSpec]:
    yield TopicSpec(topics.predictions, router.partitions, KEEP)
    yield TopicSpec(topics.outcomes, router.partitions, KEEP)
    yield TopicSpec(topics.closings, router.partitions, KEEP | LARGE)
    yield TopicSpec(topics.join_changelog, router.partitions, COMPACT_LATER | LARGE)
    yield TopicSpec(topics.examples, 1, KEEP | LARGE)
    yield TopicSpec(topics.epochs, 1, KEEP)


def _declared(plan: Plan) -> list[TopicSpec]:
    """Return the event topics whose partition count the repository declares."""
    return [TopicSpec(s.topic, s.partitions, FOREVER) for s in plan.sources if s.partitions is not None]


def all_topics(plan: Plan, event_partitions: int, topic_partitions: Mapping[str, int]) -> dict[str, int]:
    """Return every topic of the plan with its partition count, as if none existed; see `ensure_topics`."""
    counts = {name: topic_partitions.get(name, event_partitions) for name in event_topics(plan)}
    counts |= {spec.name: spec.partitions for spec in _declared(plan)}
    return counts | {spec.name: spec.partitions for spec in internal_topics(plan, counts)}


def ensure_topics(
    kafka: Kafka,
    plan: Plan,
    replication: int = 1,
    event_partitions: int = 4,
    topic_partitions: Mapping[str, int] | None = None,
    timeout_s: float = 60.0,
) -> dict[str, int]:
    """Create what is missing, and wait until every partition has a leader.

    An event topic that exists is taken as it is. librdkafka's built-in broker cannot be asked to create a
    topic; there they appear as they are first looked at.

    Parameters
    ----------
    kafka
        How to reach the brokers.
    replication
        Replicas of each partition.
    plan
        Whose topics.
    event_partitions
        Partition count of event topics that do not exist yet, without an entry in `topic_partitions`.
    topic_partitions
        Event topic to its partition count. A number that its source declares comes before both.

    Returns
    -------
    dict
        Topic to its partition count.

    Raises
    ------
    SettingsError
        When a topic exists with another partition count than the plan needs.
    ServiceUnavailable
        When the brokers cannot be reached, refuse a topic, or a partition has no leader in time.
    """
    cluster = _Cluster(kafka, replication, timeout_s)
    try:
        missing = set(event_topics(plan)) - cluster.metadata().topics.keys()
        wanted = all_topics(plan, event_partitions, topic_partitions or {})
        cluster.create([TopicSpec(name, wanted[name], FOREVER) for name in missing])
        counts = {name: len(cluster.led(name).partitions) for name in event_topics(plan)}
        _check(_declared(plan), cluster.metadata())
        inner = internal_topics(plan, counts)
        _check(inner, cluster.metadata())
        cluster.create([spec for spec in inner if spec.name not in cluster.metadata().topics])
        for spec in inner:
            cluster.led(spec.name)
        _check(inner, cluster.metadata())
    except KafkaException as error:
        raise cluster.unavailable(error) from error
    return counts | {spec.name: spec.partitions for spec in inner}


def misconfigured_topics(kafka: Kafka, plan: Plan) -> list[SettingDifference]:
    """Return the settings of internal topics that differ from those they are made with.

    None of librdkafka's built-in broker, which has no settings.

    Raises
    ------
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = KafkaAdmin(kafka)
    if admin.is_built_in():
        return []
    known = admin.metadata()
    counts = {name: 1 for name in event_topics(plan)}
    specs = [spec for spec in internal_topics(plan, counts) if spec.name in known.topics]
    return differing_settings(kafka, {spec.name: spec.config for spec in specs})


def _check(wanted: list[TopicSpec], existing: ClusterMetadata) -> None:
    for spec in wanted:
        if spec.name in existing.topics and len(existing.topics[spec.name].partitions) != spec.partitions:
            raise SettingsError(
                f"topic '{spec.name}' has {len(existing.topics[spec.name].partitions)} partitions, the plan "
                f"needs {spec.partitions}. Stop Headrace, delete the topic and run `headrace apply` again to "
                "have it made anew, or take back the change of the plan"
            )


class _Cluster:
    """Creates topics and waits for their leaders."""

    def __init__(self, kafka: Kafka, replication: int, timeout_s: float) -> None:
        self._kafka, self._replication = kafka, replication
        self._admin = KafkaAdmin(kafka, min(REQUEST_S, timeout_s))
        self.unavailable = self._admin.unavailable
        self._deadline = time.monotonic() + timeout_s

    def metadata(self) -> ClusterMetadata:
        return self._admin.metadata()

    def create(self, specs: list[TopicSpec]) -> None:
        if self._admin.is_built_in():
            for spec in specs:
                self._admin.metadata(spec.name)
        elif specs:
            new = [NewTopic(s.name, s.partitions, self._replication, config=dict(s.config)) for s in specs]
            for name, created in self._admin.create_topics(
                new, operation_timeout=self._admin.timeout_s
            ).items():
                self._expect(name, created)

    def _expect(self, name: str, created: Future[None]) -> None:
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return  # another process was quicker
            raise ServiceUnavailable(
                f"Kafka refused to create topic '{name}': {error.args[0].str()}; create it with these "
                "partitions yourself, or see HEADRACE_REPLICATION and the user's rights"
            ) from error

    def led(self, name: str) -> TopicMetadata:
        """Return the topic, once all its partitions have a leader."""
        while True:
            topic = self.metadata().topics.get(name)
            if (
                topic is not None
                and topic.partitions
                and all(p.leader >= 0 for p in topic.partitions.values())
            ):
                return topic
            if time.monotonic() > self._deadline:
                raise ServiceUnavailable(
                    f"Kafka at '{servers_of(self._kafka)}' has no leader for topic '{name}'; see whether "
                    "all its brokers run"
                )
            time.sleep(0.02)
