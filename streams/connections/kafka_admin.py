"""Requests to the brokers that are neither reads nor writes: which topics there are, and where they end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Protocol

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec

from headrace.schemas.errors import HeadraceError, ServiceUnavailable, UnknownNameError
from headrace.streams.connections.connection_errors import ConnectionErrors
from headrace.streams.connections.kafka import Kafka, client_config

REQUEST_S: Final = 15.0  # how long brokers may take to answer
# There is no leader yet, or what the client knows of it is of another time than the broker.
LEADERLESS: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
LEADER_PAUSE_S: Final = 0.05
_BUILT_IN = "mockCluster"  # begins the id of a cluster of librdkafka
_FIRST_WAIT_S = 0.5  # then it is known whether the brokers refuse; each of the next waits is twice as long


class _Client(Protocol):
    def list_topics(self, topic: str | None = ..., timeout: float = ...) -> ClusterMetadata: ...
    def poll(self, timeout: float) -> object: ...


def metadata_of(
    client: _Client, kafka: Kafka, errors: ConnectionErrors, timeout_s: float, topic: str | None = None
) -> ClusterMetadata:
    """Return the topics and brokers of a cluster. librdkafka alone would wait for a broker that refuses it.

    Parameters
    ----------
    client
        A producer or an admin client,
    kafka, errors
        its configuration and its ``error_cb``.
    timeout_s
        How long to wait for an answer.
    topic
        Ask for this one alone; a cluster may make it then.

    Raises
    ------
    ServiceUnavailable
        When the brokers refuse the account or the certificate, or none answers in time; says why.
    """
    deadline, wait_s = time.monotonic() + timeout_s, _FIRST_WAIT_S
    while True:
        try:
            left_s = max(deadline - time.monotonic(), 0.1)
            wanted = {} if topic is None else {"topic": topic}
            return client.list_topics(**wanted, timeout=min(wait_s, left_s))
        except KafkaException as error:
            client.poll(0)  # calls `errors`
            if errors.refused or time.monotonic() >= deadline:
                raise errors.unavailable(kafka, error) from error
        wait_s *= 2


def partitions_of(known: ClusterMetadata, topic: str) -> list[int]:
    """Return the numbers of a topic's partitions.

    Parameters
    ----------
    known
        Of all topics: asking for one may make it.

    Raises
    ------
    UnknownNameError
        When there is no such topic.
    """
    if topic not in known.topics:
        raise UnknownNameError("topic", topic, sorted(known.topics))
    return list(known.topics[topic].partitions)


def is_built_in(known: ClusterMetadata) -> bool:
    """Return whether a cluster is librdkafka's own, which has no settings of topics."""
    return str(known.cluster_id).startswith(_BUILT_IN)


class KafkaAdmin(AdminClient):  # type: ignore[misc]
    """An admin client whose errors say why it is not served.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    timeout_s
        How long brokers may take to answer a request.
    """

    def __init__(self, kafka: Kafka, timeout_s: float | None = None) -> None:
        self._kafka, self._errors = kafka, ConnectionErrors()
        self.timeout_s = REQUEST_S if timeout_s is None else timeout_s
        super().__init__({**client_config(kafka), "log_level": 0, "error_cb": self._errors})

    def metadata(self, topic: str | None = None) -> ClusterMetadata:
        """Return the topics and brokers of the cluster; see `metadata_of`."""
        return metadata_of(self, self._kafka, self._errors, self.timeout_s, topic)

    def end_offsets(
        self, partitions: Iterable[tuple[str, int]], committed: bool = False
    ) -> dict[tuple[str, int], int]:
        """Return the offset behind the last record of each partition, by (topic, partition).

        A partition that has just been made may have no leader yet: it is asked again.

        Parameters
        ----------
        committed
            Whether to stop before the first transaction that is open: nobody can read further on.

        Raises
        ------
        ServiceUnavailable
            When the brokers do not answer, or there is no such partition.
        """
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        return self._offsets(partitions, OffsetSpec.latest(), level)

    def begin_offsets(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset of the first record of each partition, as `end_offsets` returns ends."""
        return self._offsets(partitions, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)

    def _offsets(
        self, partitions: Iterable[tuple[str, int]], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(*partition): spec for partition in partitions}
        deadline = time.monotonic() + self.timeout_s
        while wanted:
            try:
                answers = self.list_offsets(wanted, isolation_level=level, request_timeout=self.timeout_s)
                return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
            except KafkaException as error:
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise self.unavailable(error) from error
                time.sleep(LEADER_PAUSE_S)
                self.metadata()  # else the client goes by what it knows
        return {}

    def is_built_in(self) -> bool:
        """Return whether the broker is librdkafka's own, which has no topic ids and makes no topics."""
        return is_built_in(self.metadata())

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Return the ids that Kafka has given topics: one that is deleted and made again has another.

        librdkafka's built-in broker gives none.

        Raises
        ------
        ServiceUnavailable
            When the brokers do not answer, or there is no such topic.
        """
        if self.is_built_in():
            return {}
        wanted = TopicCollection(list(topics))
        try:
            answers = self.describe_topics(wanted, request_timeout=self.timeout_s)
            return {topic: str(answer.result().topic_id) for topic, answer in answers.items()}
        except KafkaException as error:
            raise self.unavailable(error) from error

    @property
    def refused(self) -> bool:
        """Whether the brokers have refused the account or the certificate."""
        return self._errors.refused

    def unavailable(self, error: KafkaException) -> ServiceUnavailable:
        """Return the error to raise for a request that failed."""
        self.poll(0)
        return self._errors.unavailable(self._kafka, error)


def partition_count(kafka: Kafka, topic: str) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    UnknownNameError
        When there is no such topic.
    ServiceUnavailable
        When Kafka does not answer.
    """
    return len(partitions_of(KafkaAdmin(kafka).metadata(), topic))


def end_offsets(kafka: Kafka, topics: Iterable[str], committed: bool = False) -> dict[tuple[str, int], int]:
    """Return the offset behind the last record of every partition of topics, by (topic, partition).

    Parameters
    ----------
    committed
        Whether to stop before the first transaction that is open.

    Raises
    ------
    UnknownNameError
        When a topic does not exist.
    ServiceUnavailable
        When the brokers do not answer.
    """
    wanted = list(topics)
    if not wanted:
        return {}
    admin = KafkaAdmin(kafka)
    known = admin.metadata()
    partitions = ((topic, number) for topic in wanted for number in partitions_of(known, topic))
    return admin.end_offsets(partitions, committed)


def refuse_missing_topics(kafka: Kafka, topics: Iterable[str]) -> None:
    """Raise unless every topic exists.

    Raises
    ------
    HeadraceError
        Names the missing topics and the command that makes them.
    ServiceUnavailable
        When Kafka does not answer.
    """
    known = KafkaAdmin(kafka).metadata().topics
    missing = sorted(topic for topic in topics if topic not in known)
    if missing:
        raise HeadraceError(f"topics are missing: {', '.join(missing)}; run `headrace apply` to make them")


def refuse_wrong_access(kafka: Kafka, timeout_s: float = 5.0) -> None:
    """Raise when brokers refuse the account or the certificate. Brokers that are away may come yet.

    Raises
    ------
    ServiceUnavailable
        When they refuse.
    """
    if isinstance(kafka, str):
        return  # nothing to be refused
    admin = KafkaAdmin(kafka, timeout_s)
    try:
        admin.metadata()
    except ServiceUnavailable:
        if admin.refused:
            raise
