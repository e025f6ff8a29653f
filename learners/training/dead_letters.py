"""Examples and closings that cannot be used, on the project's dead-letter topic."""

from __future__ import annotations

import base64
from typing import Any, Literal

from confluent_kafka import Message, Producer

from headrace.schemas import topics
from headrace.schemas.records import DeadLetter, base64_headers


class DeadLetters:
    """Writes dead letters; they are safe once `producer` has been flushed."""

    def __init__(self, producer: Producer, project: str) -> None:
        self._producer = producer
        self._topic = topics.dead_letters(project)

    def send(self, message: Message, reason: str, kind: Literal["malformed", "invalid"]) -> None:
        letter = DeadLetter(
            topic=str(message.topic()),
            partition=int(message.partition() or 0),
            offset=int(message.offset() or 0),
            timestamp_ms=message.timestamp()[1],
            reason=reason,
            kind=kind,
            key=_text(message.key()),
            value=_text(message.value()),
            headers=base64_headers(message.headers()),
        )
        self._producer.produce(self._topic, letter.to_bytes(), partition=0)
        self._producer.poll(0)


def _text(data: Any) -> str | None:
    raw = data.encode() if isinstance(data, str) else data
    return None if raw is None else base64.b64encode(raw).decode()
