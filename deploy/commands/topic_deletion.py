"""Internal topics, deleted to be made again, empty."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaException

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin

_PATIENCE_S = 60.0
_LOOK_S = 0.2


def delete_topics(kafka: Kafka, names: Sequence[str]) -> None:
    """Delete topics that are there, and return when Kafka does not have them any more.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer, or has not deleted them in a minute.
    """
    admin = KafkaAdmin(kafka)
    there = [name for name in names if name in admin.metadata().topics]
    try:
        for deleted in admin.delete_topics(there, request_timeout=admin.timeout_s).values() if there else ():
            deleted.result()
    except KafkaException as error:
        raise admin.unavailable(error) from error
    deadline = time.monotonic() + _PATIENCE_S
    while left := sorted(set(names) & admin.metadata().topics.keys()):
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Kafka has not deleted {', '.join(left)} yet; run it again")
        time.sleep(_LOOK_S)
