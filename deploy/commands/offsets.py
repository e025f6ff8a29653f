"""End offsets of topics."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from headrace.streams.connections.kafka import Kafka, KafkaAdmin, partitions_of

_REQUEST_S = 10.0


def end_offsets(kafka: Kafka, names: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the offset behind the last record, by (topic, partition).

    Raises
    ------
    UnknownNameError
        When a topic does not exist.
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = KafkaAdmin(kafka)
    known = admin.metadata(_REQUEST_S)
    try:
        wanted = [TopicPartition(name, number) for name in names for number in partitions_of(known, name)]
        answers = admin.list_offsets({tp: OffsetSpec.latest() for tp in wanted}, request_timeout=_REQUEST_S)
        return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
    except KafkaException as error:
        raise admin.unreachable(error) from error
