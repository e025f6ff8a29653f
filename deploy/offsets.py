"""How far the topics of a Kafka reach."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.errors import ServiceUnavailable, UnknownNameError

_REQUEST_S = 10.0


def end_offsets(bootstrap: str, names: Iterable[str]) -> dict[tuple[str, int], int]:
    """(topic, partition) to the offset behind the last record.

    Raises
    ------
    UnknownNameError
        When there is no such topic.
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        known = admin.list_topics(timeout=_REQUEST_S).topics
        wanted = [TopicPartition(name, partition) for name in names for partition in _partitions(name, known)]
        answers = admin.list_offsets({tp: OffsetSpec.latest() for tp in wanted}, request_timeout=_REQUEST_S)
        return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
    except KafkaException as error:
        raise unreachable(bootstrap, error) from error


def unreachable(bootstrap: str, error: KafkaException) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Kafka at '{bootstrap}': {error.args[0].str()}; does it run, and is HEADRACE_KAFKA its address?"
    )


def _partitions(name: str, known: dict[str, object]) -> Iterable[int]:
    if name not in known:
        raise UnknownNameError("topic", name, list(known))
    return known[name].partitions  # type: ignore[attr-defined, no-any-return]
