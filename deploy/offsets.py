"""How far the topics of a Kafka reach, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
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


def read_topic(bootstrap: str, name: str) -> Iterator[bytes]:
    """Every value of a topic with one partition, up to its end at the time of the call."""
    end = end_offsets(bootstrap, [name])[name, 0]
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "headrace-read", "enable.auto.commit": False}
        | {"enable.partition.eof": False, "log_level": 0}
    )
    try:
        consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
        reached = 0
        while reached < end:
            message = consumer.poll(_REQUEST_S)
            if message is None:
                raise ServiceUnavailable(
                    f"Kafka at '{bootstrap}' gave nothing of {name}[0] at offset {reached} of {end} for "
                    f"{_REQUEST_S:g} s"
                )
            if message.error() is not None:
                raise unreachable(bootstrap, KafkaException(message.error()))
            reached = message.offset() + 1
            if message.value() is not None:
                yield message.value()
    finally:
        consumer.close()


def unreachable(bootstrap: str, error: KafkaException) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Kafka at '{bootstrap}': {error.args[0].str()}; does it run, and is HEADRACE_KAFKA its address?"
    )


def _partitions(name: str, known: dict[str, object]) -> Iterable[int]:
    if name not in known:
        raise UnknownNameError("topic", name, list(known))
    return known[name].partitions  # type: ignore[attr-defined, no-any-return]
