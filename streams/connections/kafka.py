"""How Kafka is reached: the one configuration under every client, and why brokers do not answer one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from headrace.schemas.errors import ServiceUnavailable, UnknownNameError

Kafka = str | Mapping[str, Any]  # bootstrap servers without TLS or SASL, or a configuration of librdkafka

_SERVERS = "bootstrap.servers"
_FIRST_WAIT_S = 0.5  # then it is known whether the brokers refuse; each of the next waits is twice as long
_REFUSALS = {
    KafkaError._AUTHENTICATION: "see sasl.mechanism, sasl.username and sasl.password",
    KafkaError._SSL: "see security.protocol and ssl.ca.location, and whether the certificate has this name",
}
_REFUSED_TEXTS = {  # of librdkafka, to be looked for before the code
    "SSL alert number": (  # the broker's TLS has ended the connection
        "see ssl.certificate.location and ssl.key.location: the broker wants a certificate of the client, of "
        "an authority that it trusts"
    ),
    "Failed to acquire SASL OAUTHBEARER token": (
        "see sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret, and whether "
        "sasl.oauthbearer.token.endpoint.url answers"
    ),
}
_SILENCE = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
_RIGHTS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


class KafkaAccess(Mapping[str, Any]):
    """A configuration of librdkafka that does not show its values, since some are secret."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = dict(properties)

    def __getitem__(self, name: str) -> Any:
        return self._properties[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)

    def __repr__(self) -> str:
        return f"KafkaAccess({servers_of(self)!r}, {sorted(self._properties.keys() - {_SERVERS})})"


def client_config(kafka: Kafka) -> dict[str, Any]:
    """What every client is configured with; its own properties come after these."""
    return {_SERVERS: kafka} if isinstance(kafka, str) else dict(kafka)


def servers_of(kafka: Kafka) -> str:
    """The bootstrap servers, for messages."""
    return str(client_config(kafka).get(_SERVERS))


class _Client(Protocol):
    def list_topics(self, topic: str | None = ..., timeout: float = ...) -> ClusterMetadata: ...
    def poll(self, timeout: float) -> object: ...


class Trouble:
    """The ``error_cb`` of a client: what it last had to say of its connections."""

    def __init__(self) -> None:
        self._error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if self._error is None or error.code() != KafkaError._ALL_BROKERS_DOWN:  # that says no cause
            self._error = error

    @property
    def refused(self) -> bool:
        """Whether the account, the token or the certificate is refused: waiting does not help."""
        return self._error is not None and _refusal(self._error) is not None

    def text(self) -> str | None:
        return None if self._error is None else self._error.str()

    def unreachable(self, kafka: Kafka, error: KafkaException) -> ServiceUnavailable:
        """What to raise when a request failed."""
        cause: KafkaError = error.args[0]
        if cause.code() in _SILENCE and self._error is not None:
            cause = self._error
        return ServiceUnavailable(
            f"Kafka at '{servers_of(kafka)}' does not answer: {cause.str()}; {_remedy(cause)}"
        )


def _refusal(error: KafkaError) -> str | None:
    """The remedy where an account, a token or a certificate is refused."""
    told = error.str()
    by_text = (remedy for text, remedy in _REFUSED_TEXTS.items() if text in told)
    return next(by_text, _REFUSALS.get(error.code()))


def _remedy(error: KafkaError) -> str:
    if error.code() in _RIGHTS:
        return "give this account the rights that docs/operations/security.md lists"
    return _refusal(error) or (
        "see whether it runs, HEADRACE_KAFKA is its address, and HEADRACE_KAFKA_CONFIG has the TLS and SASL "
        "that it asks for"
    )


def metadata_of(
    client: _Client, kafka: Kafka, trouble: Trouble, timeout_s: float, topic: str | None = None
) -> ClusterMetadata:
    """The topics and brokers of a cluster. librdkafka alone would wait for a broker that refuses it.

    Parameters
    ----------
    client
        A producer or an admin client,
    kafka, trouble
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
            client.poll(0)  # calls `trouble`
            if trouble.refused or time.monotonic() >= deadline:
                raise trouble.unreachable(kafka, error) from error
        wait_s *= 2


def partitions_of(known: ClusterMetadata, topic: str) -> list[int]:
    """The numbers of a topic's partitions.

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


class KafkaAdmin(AdminClient):  # type: ignore[misc]
    """confluent-kafka's, that says why it is not served."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka, self._trouble = kafka, Trouble()
        super().__init__({**client_config(kafka), "log_level": 0, "error_cb": self._trouble})

    def metadata(self, timeout_s: float, topic: str | None = None) -> ClusterMetadata:
        """See `metadata_of`."""
        return metadata_of(self, self._kafka, self._trouble, timeout_s, topic)

    @property
    def refused(self) -> bool:
        """Whether the brokers have refused the account or the certificate."""
        return self._trouble.refused

    def unreachable(self, error: KafkaException) -> ServiceUnavailable:
        """What to raise when a request failed."""
        self.poll(0)
        return self._trouble.unreachable(self._kafka, error)


def refuse_wrong_access(kafka: Kafka, timeout_s: float = 5.0) -> None:
    """Raise when brokers refuse the account or the certificate. Brokers that are away may come yet.

    Raises
    ------
    ServiceUnavailable
        When they refuse.
    """
    if isinstance(kafka, str):
        return  # nothing to be refused
    admin = KafkaAdmin(kafka)
    try:
        admin.metadata(timeout_s)
    except ServiceUnavailable:
        if admin.refused:
            raise
