"""The trainer's log on librdkafka's broker, for consumers that are handed their records one by one."""

from __future__ import annotations

import uuid

from confluent_kafka import Consumer, Producer

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.learners.training.changelog import TrainState, read_state
from headrace.learners.training.log import TrainingLog
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.topics import ProjectTopics
from headrace.streams.log.reader import read_log
from headrace.streams.log.transactions import TransactionalProducer
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.sole_owner import Ownership
from tests.support.waiting import PATIENCE_S


class Log:
    """Topics of a trainer, and an owner that nobody disputes."""

    def __init__(self, project: str, *more: str) -> None:
        self.topics = ProjectTopics(project)
        own = (self.topics.models, self.topics.train_changelog, self.topics.dead_letters)
        self._broker = MockKafka(dict.fromkeys((*own, *more), 1))
        self.bootstrap = self._broker.bootstrap
        self._consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex})
        self._producer = TransactionalProducer(self.bootstrap, "train", 10_000)

    def close(self) -> None:
        self._consumer.close()
        self._broker.close()

    def open(self) -> TrainingLog:
        member = self._consumer.consumer_group_metadata()
        return TrainingLog(self._producer, self.topics, Ownership(member), self.state().reported)

    def state(self) -> TrainState:
        return read_state(self.bootstrap, self.topics.train_changelog, Restoring())

    def forget(self, key: bytes) -> None:
        """Delete an entry of the changelog."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        producer.produce(self.topics.train_changelog, None, key, partition=0)
        assert producer.flush(PATIENCE_S) == 0

    def read(self, topic: str) -> list[bytes]:
        return [message.value() for message in read_log(self.bootstrap, topic, 0)]

    def dead_letters(self) -> list[DeadLetter]:
        return [DeadLetter.model_validate_json(raw) for raw in self.read(self.topics.dead_letters)]
