"""Whether the topics a process reads and writes are there."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.schemas.errors import HeadraceError
from headrace.streams.connections.kafka import Kafka, KafkaAdmin

_TIMEOUT_S = 15.0


def refuse_missing_topics(kafka: Kafka, wanted: Iterable[str]) -> None:
    """Raise unless every topic exists.

    Raises
    ------
    HeadraceError
        Names the missing topics and what makes them.
    ServiceUnavailable
        When Kafka does not answer.
    """
    known = KafkaAdmin(kafka).metadata(_TIMEOUT_S).topics
    missing = sorted(name for name in wanted if name not in known)
    if missing:
        raise HeadraceError(f"topics are missing: {', '.join(missing)}; run `headrace apply` to make them")
