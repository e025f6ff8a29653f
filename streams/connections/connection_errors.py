"""Why brokers do not answer a client, and the remedy."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka import Kafka, servers_of

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


class ConnectionErrors:
    """The ``error_cb`` of a client: keeps the last error of its connections that says a cause."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if self._last is None or error.code() != KafkaError._ALL_BROKERS_DOWN:  # that says no cause
            self._last = error

    @property
    def refused(self) -> bool:
        """Whether the account, the token or the certificate is refused: waiting does not help."""
        return self._last is not None and _refusal(self._last) is not None

    def text(self) -> str | None:
        """Return the last error as text; None before the first."""
        return None if self._last is None else self._last.str()

    def unavailable(self, kafka: Kafka, error: KafkaException) -> ServiceUnavailable:
        """Return the error to raise for a request that failed; names cause and remedy."""
        cause: KafkaError = error.args[0]
        if cause.code() in _SILENCE and self._last is not None:
            cause = self._last
        return ServiceUnavailable(
            f"Kafka at '{servers_of(kafka)}' does not answer: {cause.str()}; {_remedy(cause)}"
        )


def _refusal(error: KafkaError) -> str | None:
    """Return the remedy where an account, a token or a certificate is refused, else None."""
    message = error.str()
    by_text = (remedy for text, remedy in _REFUSED_TEXTS.items() if text in message)
    return next(by_text, _REFUSALS.get(error.code()))


def _remedy(error: KafkaError) -> str:
    if error.code() in _RIGHTS:
        return "give this account the rights that docs/operations/security.md lists"
    return _refusal(error) or (
        "see whether it runs, HEADRACE_KAFKA is its address, and HEADRACE_KAFKA_CONFIG has the TLS and SASL "
        "that it asks for"
    )
