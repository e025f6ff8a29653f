"""Answers about a group, in which each place may have an error of its own."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, TopicPartition

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.group_offsets import set_offsets

NOBODY = "127.0.0.1:1"
MOVING, REFUSED = KafkaError.NOT_COORDINATOR, KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, answers: list[int | None]) -> list[list[tuple[str, int, int]]]:
    """What is asked of Kafka, which takes the request and says of its first place what `answers` has."""
    found: list[list[tuple[str, int, int]]] = []

    def alter(
        admin: KafkaAdmin, wanted: list[ConsumerGroupTopicPartitions], **options: Any
    ) -> dict[str, Future[Any]]:
        (of_group,) = wanted
        found.append([(one.topic, one.partition, one.offset) for one in of_group.topic_partitions])
        code = answers[len(found) - 1]
        first, *more = of_group.topic_partitions
        told = first if code is None else _Told(first, KafkaError(code))
        answer: Future[Any] = Future()
        answer.set_result(_Answer([told, *more]))
        return {of_group.group_id: answer}

    monkeypatch.setattr(KafkaAdmin, "alter_consumer_group_offsets", alter)
    return found


class _Answer:
    def __init__(self, topic_partitions: list[Any]) -> None:
        self.topic_partitions = topic_partitions


class _Told:
    def __init__(self, place: TopicPartition, error: KafkaError) -> None:
        self.topic, self.partition, self.offset, self.error = (
            place.topic,
            place.partition,
            place.offset,
            error,
        )


@pytest.mark.parametrize("answers", [[MOVING, MOVING, None]])
def test_offsets_are_set_again_until_their_coordinator_is_there(
    asked: list[list[tuple[str, int, int]]],
) -> None:
    set_offsets(NOBODY, "g", {("t", 0): 7, ("t", 1): 0})
    assert asked == 3 * [[("t", 0, 7), ("t", 1, 0)]]


@pytest.mark.parametrize("answers", [[REFUSED]])
def test_a_place_that_is_refused_is_an_error_of_all(asked: list[list[tuple[str, int, int]]]) -> None:
    with pytest.raises(ServiceUnavailable, match=r"(?i)topic authorization failed"):
        set_offsets(NOBODY, "g", {("t", 0): 7, ("t", 1): 0})
    assert len(asked) == 1


@pytest.mark.parametrize("answers", [[]])
def test_nothing_is_asked_for_no_place(asked: list[list[tuple[str, int, int]]]) -> None:
    set_offsets(NOBODY, "g", {})
    assert asked == []
