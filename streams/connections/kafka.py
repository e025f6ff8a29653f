"""The configuration that every client of Kafka has in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Kafka = str | Mapping[str, Any]  # bootstrap servers without TLS or SASL, or a configuration of librdkafka

_SERVERS = "bootstrap.servers"


class KafkaAccess(Mapping[str, Any]):
    """A configuration of librdkafka that does not show its values, since some are secret.

    Examples
    --------
    >>> KafkaAccess({"bootstrap.servers": "b:9092", "sasl.username": "me", "sasl.password": "secret"})
    KafkaAccess('b:9092', ['sasl.password', 'sasl.username'])
    """

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
    """Return the properties every client is configured with; a client's own come after these."""
    return {_SERVERS: kafka} if isinstance(kafka, str) else dict(kafka)


def servers_of(kafka: Kafka) -> str:
    """Return the bootstrap servers, for messages."""
    return str(client_config(kafka).get(_SERVERS))
