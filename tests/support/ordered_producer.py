"""What tests send with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Producer

from tests.support.waiting import PATIENCE_S


def ordered_producer(bootstrap: str, settings: Mapping[str, Any] | None = None) -> Producer:
    """A producer whose records come into the log as they were sent. Of one that is not idempotent, what is
    sent again while a new topic gets its leader may stand behind what came later."""
    quiet = {"log_level": 0}  # what does not arrive is seen when it is flushed
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **quiet, **(settings or {})})


def produce(bootstrap: str, topic: str, values: Sequence[bytes]) -> None:
    """Send records without keys, and wait until the broker has them."""
    producer = ordered_producer(bootstrap)
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(PATIENCE_S) == 0
