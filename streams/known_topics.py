"""Whether the topics a process reads and writes are there."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import HeadraceError, ServiceUnavailable

_TIMEOUT_S = 15.0


def refuse_missing_topics(bootstrap: str, wanted: Iterable[str]) -> None:
    """Raise unless every topic exists.

    Raises
    ------
    HeadraceError
        Names the missing topics and what makes them.
    ServiceUnavailable
        When Kafka does not answer.
    """
    try:
        known = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka at {bootstrap} does not answer: {error}") from error
    missing = sorted(name for name in wanted if name not in known)
    if missing:
        raise HeadraceError(f"topics are missing: {', '.join(missing)}; run `headrace apply` to make them")
