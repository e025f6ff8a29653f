"""Examples and closings that cannot be used, on the project's dead-letter topic."""

from __future__ import annotations

from typing import Literal

from confluent_kafka import Message

from headrace.schemas.dead_letter import DeadLetter
from headrace.streams.log.producer import LogProducer
from headrace.streams.log.records import LogRecord


class DeadLetters:
    """Writes dead letters; they are safe once `producer` has been flushed."""

    def __init__(self, producer: LogProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def send(self, message: Message, reason: str, kind: Literal["malformed", "invalid"]) -> None:
        partition, record = int(message.partition() or 0), LogRecord.of_message(message)
        dead_letter = DeadLetter.of_record(str(message.topic()), partition, record, kind, reason)
        self._producer.send(self._topic, 0, None, dead_letter.to_bytes())
