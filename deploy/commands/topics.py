"""The topics of a plan: made where they are missing, checked where they exist, until all have leaders."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata, NewPartitions, NewTopic, TopicMetadata

from headrace.deploy.commands.partitions import refuse_moved_keys
from headrace.deploy.commands.topic_specs import (
    all_topics,
    declared_topics,
    event_specs,
)
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka, servers_of
from headrace.streams.connections.kafka_admin import REQUEST_S, KafkaAdmin
from headrace.streams.runtime.internal_topics import (
    TopicSpec,
    event_topics,
    internal_settings,
    internal_topics,
)
from headrace.streams.runtime.topic_settings import (
    AHEAD,
    SettingDifference,
    differences,
    existing_settings,
    untrusted_times,
)
from headrace.streams.worker.known_partitions import known_counts


def ensure_topics(
    kafka: Kafka,
    plan: Plan,
    replication: int = 1,
    event_partitions: int = 4,
    topic_partitions: Mapping[str, int] | None = None,
    timeout_s: float = 60.0,
    allow_moved_keys: bool = False,
) -> dict[str, int]:
    """Create what is missing, and wait until every partition has a leader.

    An event topic that exists is taken as it is. Where it has more partitions than its changelog, that gets
    as many. Partitions of internal topics that the plan does not need are left alone: nothing writes or reads
    them. librdkafka's built-in broker cannot be asked to create a
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
    allow_moved_keys
        Whether partitions may have been added to topics that views read directly.

    Returns
    -------
    dict
        Topic to its partition count.

    Raises
    ------
    SettingsError
        When an event topic has another partition count than its source declares, or an internal topic has
        fewer than the plan needs and cannot get more.
    PlanError
        When partitions were added to a topic that views read directly.
    ServiceUnavailable
        When the brokers cannot be reached, refuse a topic, or a partition has no leader in time.
    """
    check_topics(kafka, plan, replication, event_partitions, topic_partitions, timeout_s, allow_moved_keys)
    cluster = _Cluster(kafka, replication, timeout_s)
    try:
        cluster.create(_missing(event_specs(plan, event_partitions, topic_partitions), cluster.metadata()))
        counts = {name: len(cluster.led(name).partitions) for name in event_topics(plan)}
        inner = _in_pairs(plan, internal_topics(plan, counts), cluster.metadata())
        cluster.create(_missing(inner, cluster.metadata()))
        _check(inner, cluster.metadata())
        cluster.grow([spec for spec in inner if spec.grows])
        for spec in inner:
            counts[spec.name] = len(cluster.led(spec.name, spec.partitions).partitions)
    except KafkaException as error:
        raise cluster.unavailable(error) from error
    return counts


def check_topics(
    kafka: Kafka,
    plan: Plan,
    replication: int = 1,
    event_partitions: int = 4,
    topic_partitions: Mapping[str, int] | None = None,
    timeout_s: float = 60.0,
    allow_moved_keys: bool = False,
) -> None:
    """Refuse what `ensure_topics` would refuse. Nothing is created; brokers are asked whether they would.

    Parameters and errors are those of `ensure_topics`.
    """
    cluster = _Cluster(kafka, replication, timeout_s)
    try:
        existing = cluster.metadata()
        events = event_specs(plan, event_partitions, topic_partitions)
        counts = {
            spec.name: len(existing.topics[spec.name].partitions) if spec.name in existing.topics
            else spec.partitions
            for spec in events
        }  # fmt: skip
        _check_declared(plan, counts)
        if not allow_moved_keys and _has_added(plan, existing):
            refuse_moved_keys(plan, topic_ends(kafka, plan))
        inner = _in_pairs(plan, internal_topics(plan, counts), existing)
        _check(inner, existing)
        unseen = cluster.create(_missing([*events, *inner], existing), only_ask=True)
        for name in unseen:  # they have just been made, by another
            cluster.led(name)
        cluster.grow([spec for spec in inner if spec.grows], only_ask=True)
    except KafkaException as error:
        raise cluster.unavailable(error) from error
    if unseen:
        check_topics(
            kafka, plan, replication, event_partitions, topic_partitions, timeout_s, allow_moved_keys
        )


def _missing(specs: Iterable[TopicSpec], existing: ClusterMetadata) -> list[TopicSpec]:
    return [spec for spec in specs if spec.name not in existing.topics]


def _has_added(plan: Plan, existing: ClusterMetadata) -> bool:
    sizes = {name: len(topic.partitions) for name, topic in existing.topics.items()}
    known = known_counts(plan, sizes)
    read = [name for name in event_topics(plan) if name in sizes]
    return any(sizes[name] > known.get(name, sizes[name]) for name in read)


def topic_ends(kafka: Kafka, plan: Plan, timeout_s: float | None = None) -> dict[tuple[str, int], int]:
    """Return the end of each partition of the plan's topics that exist, by (topic, partition).

    Raises
    ------
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = KafkaAdmin(kafka, timeout_s)
    wanted = all_topics(plan, 1, {})
    known = admin.metadata().topics
    return admin.end_offsets((name, n) for name in wanted if name in known for n in known[name].partitions)


def _in_pairs(plan: Plan, specs: list[TopicSpec], existing: ClusterMetadata) -> list[TopicSpec]:
    """Give predictions and outcomes of a router the same number of partitions, where one has too many.

    A join gets those of one number together only then. Those that are too many stay empty.
    """
    most: dict[str, int] = {}
    for router in plan.routers:
        topics = plan.topics.router(router.name)
        pair = [name for name in (topics.predictions, topics.outcomes) if name in existing.topics]
        count = max((len(existing.topics[name].partitions) for name in pair), default=0)
        if count > router.partitions:
            most |= {topics.predictions: count, topics.outcomes: count}
    return [
        replace(spec, partitions=most[spec.name], grows=True) if spec.name in most else spec for spec in specs
    ]


def _check_declared(plan: Plan, counts: Mapping[str, int]) -> None:
    for spec in declared_topics(plan):
        if counts[spec.name] != spec.partitions:
            raise SettingsError(
                f"topic '{spec.name}' has {counts[spec.name]} partitions, and the source's tag "
                f"'headrace.partitions' says {spec.partitions}. Write the number that it has, or take the "
                "tag out; `headrace plan` says what that changes"
            )


def misconfigured_topics(kafka: Kafka, plan: Plan) -> list[SettingDifference]:
    """Return the settings of internal topics that differ from those they are made with.

    None of librdkafka's built-in broker, which has no settings.

    Raises
    ------
    SettingsNotShown
        When the account has no right to see them.
    ServiceUnavailable
        When the brokers do not answer.
    """
    wanted = internal_settings(plan)
    found = existing_settings(KafkaAdmin(kafka), wanted)
    return [one for name, settings in found.items() for one in differences(name, wanted[name], settings)]


def untrusted_event_times(kafka: Kafka, plan: Plan) -> list[SettingDifference]:
    """Return the settings by which timestamps of event topics may be ahead of the broker's clock.

    None of librdkafka's built-in broker, which has no settings.

    Raises
    ------
    SettingsNotShown
        When the account has no right to see them.
    ServiceUnavailable
        When the brokers do not answer.
    """
    if not plan.needs_kafka:
        return []
    found = existing_settings(KafkaAdmin(kafka), event_topics(plan))
    return [one for name, settings in found.items() for one in untrusted_times(name, settings)]


def _check(wanted: list[TopicSpec], existing: ClusterMetadata) -> None:
    for spec in wanted:
        too_few = (
            spec.name in existing.topics and len(existing.topics[spec.name].partitions) < spec.partitions
        )
        if too_few and not spec.grows:
            raise SettingsError(
                f"topic '{spec.name}' has {len(existing.topics[spec.name].partitions)} partitions, the plan "
                f"needs {spec.partitions}. Stop Headrace, delete the topic and run `headrace apply` again to "
                "have it made anew, or take back the change of the plan"
            )


def _without(setting: str, spec: TopicSpec) -> TopicSpec:
    return replace(spec, config={name: value for name, value in spec.config.items() if name != setting})


class _Cluster:
    """Creates topics and waits for their leaders."""

    def __init__(self, kafka: Kafka, replication: int, timeout_s: float) -> None:
        self._kafka, self._replication = kafka, replication
        self._admin = KafkaAdmin(kafka, min(REQUEST_S, timeout_s))
        self.unavailable = self._admin.unavailable
        self._deadline = time.monotonic() + timeout_s

    def metadata(self) -> ClusterMetadata:
        return self._admin.metadata()

    def create(self, specs: list[TopicSpec], only_ask: bool = False) -> list[str]:
        """Create topics, or ask the brokers whether they would. Return those that exist already."""
        existing = []
        if self._admin.is_built_in():
            for spec in specs:
                if not only_ask:
                    self._admin.metadata(spec.name)
        elif specs:
            new = [NewTopic(s.name, s.partitions, self._replication, config=dict(s.config)) for s in specs]
            answers = self._admin.create_topics(
                new, operation_timeout=self._admin.timeout_s, validate_only=only_ask
            )
            older = [spec for spec in specs if self._does_not_know(AHEAD, spec, answers[spec.name])]
            answered = {name: answers[name] for name in answers.keys() - {spec.name for spec in older}}
            existing = [name for name, created in answered.items() if not self._is_new(name, created)]
            existing += self.create([_without(AHEAD, spec) for spec in older], only_ask)
        return existing

    def _does_not_know(self, setting: str, spec: TopicSpec, created: Future[None]) -> bool:
        """Whether a topic was refused for a setting that the broker may be too old for."""
        error = created.exception(self._admin.timeout_s)
        if setting not in spec.config or not isinstance(error, KafkaException):
            return False
        return bool(error.args[0].code() == KafkaError.INVALID_CONFIG)

    def grow(self, specs: list[TopicSpec], only_ask: bool = False) -> None:
        """Add partitions to topics that have fewer than they are to have, or ask whether that would do."""
        known = self.metadata().topics
        if self._admin.is_built_in():  # it cannot be asked for that, either
            return _check([replace(spec, grows=False) for spec in specs], self.metadata())
        new = [
            NewPartitions(spec.name, spec.partitions)
            for spec in specs
            if spec.name in known and len(known[spec.name].partitions) < spec.partitions
        ]
        answers = self._admin.create_partitions(new, validate_only=only_ask) if new else {}
        for grown in answers.values():
            grown.result()

    def _is_new(self, name: str, created: Future[None]) -> bool:
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False  # another process was quicker
            raise ServiceUnavailable(
                f"Kafka refused to create topic '{name}': {error.args[0].str()}; create it with these "
                "partitions yourself, or see HEADRACE_REPLICATION and the user's rights"
            ) from error
        return True

    def led(self, name: str, partitions: int = 1) -> TopicMetadata:
        """Return the topic, once it has so many partitions, and each of them a leader."""
        while True:
            topic = self.metadata().topics.get(name)
            if (
                topic is not None
                and len(topic.partitions) >= partitions
                and all(p.leader >= 0 for p in topic.partitions.values())
            ):
                return topic
            if time.monotonic() > self._deadline:
                raise ServiceUnavailable(
                    f"Kafka at '{servers_of(self._kafka)}' has no leader for topic '{name}'; see whether "
                    "all its brokers run"
                )
            time.sleep(0.02)
