"""The training of all learners of a project, while this process is its owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.training.changelog import TrainState
from headrace.learners.training.closings import ClosingConsumer
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.examples import ExampleConsumer
from headrace.learners.training.fair_reader import FairReader
from headrace.learners.training.group import train_group
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.operations import OperationConsumer
from headrace.learners.training.past import Past
from headrace.learners.training.unreadable import unreadable_artifacts
from headrace.schemas.errors import ModelError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
from headrace.streams.log.reader import end_offset
from headrace.streams.runtime.health import PartitionHealth, Sample
from headrace.streams.runtime.restoring import Restoring

_log = logging.getLogger(__name__)
_WAIT_S = 0.05


class Superseded(Exception):
    """Raised while Redis is waited for, when the process is to stop or another is the owner."""


class OwnedTraining:
    """Reads examples and closings, and publishes what follows from them.

    Parameters
    ----------
    plan
        The plan in force.
    kafka
        How to reach Kafka.
    store
        Where artifacts go.
    project
        The loaded ``learners.py``.
    config
        How to run.
    state
        What to go on from.
    log
        Takes what is written to Kafka.
    pointers
        Where versions and epochs are put in force.
    retries
        Of what Redis does not take.
    is_over
        Whether to stop waiting for Redis.

    Raises
    ------
    ModelError
        When a learner cannot go on from its newest artifact.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        store: ModelStore,
        project: Project,
        config: TrainConfig,
        state: TrainState,
        log: TrainingLog,
        pointers: ModelPointers,
        retries: RedisRetries,
        is_over: Callable[[], bool],
    ) -> None:
        self._log, self._retries, self._is_over = log, retries, is_over
        self._routers = plan.routers
        every_s = config.publish_every_s
        past = Past(kafka, plan)
        try:
            examples = [
                ExampleConsumer(plan, router, project, store, state.models, log, pointers, every_s, past)
                for router in plan.routers
            ]
        except ModelError as error:
            arms = (arm for router in plan.routers for arm in router.arms)
            raise unreadable_artifacts(plan, store, arms, state.models) or error from error
        closings = [
            ClosingConsumer(
                plan, router, state.epochs.get(router.name), router.partitions, log, pointers, past
            )
            for router in plan.routers
        ]
        self._examples = {consumer.topic: consumer for consumer in examples}
        self._closings = {consumer.topic: consumer for consumer in closings}
        versions = {arm: one for consumer in examples for arm, one in consumer.versions.items()}
        consumer_of = {arm: consumer for consumer in examples for arm in consumer.versions}
        models = plan.topics.models
        position = state.operations
        if position is None:  # what was decided before there is a state has nothing to act on
            position = end_offset(kafka, models, 0)
        self._operations = OperationConsumer(
            plan, store.key, position, versions, log, lambda arm: consumer_of[arm].announce(arm)
        )
        # Epochs first: a replica that comes up with an empty Redis has them when it has models.
        self._consumers: dict[str, ExampleConsumer | ClosingConsumer | OperationConsumer] = {
            **self._closings,
            **self._examples,
            models: self._operations,
        }
        self._reader: FairReader | None = None  # before it begins
        self._kafka_consumer = Consumer(
            {
                **client_config(kafka),
                "group.id": train_group(plan),  # required by the client; nothing is committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": config.fetch_wait_ms,
            }
        )

    def health(self) -> Iterator[PartitionHealth]:
        """Yield the health of each input. Safe to call from any thread."""
        for examples in self._examples.values():
            yield PartitionHealth(examples.topic, 0, examples.offset, Restoring(0, 0), examples.clock_ms)
        for router, closings in zip(self._routers, self._closings.values(), strict=True):
            for n in range(router.partitions):
                yield PartitionHealth(closings.topic, n, closings.offset(n), Restoring(0, 0))

    def samples(self) -> Iterator[Sample]:
        """Yield metrics. Safe to call from any thread."""
        for consumer in self._consumers.values():
            yield from consumer.samples()

    def begin(self) -> None:
        """Put in force what the log says, and begin to read behind it."""
        for consumer in self._consumers.values():
            self._retrying(consumer.begin)
        assigned = [
            TopicPartition(examples.topic, 0, examples.offset) for examples in self._examples.values()
        ]
        for router, closings in zip(self._routers, self._closings.values(), strict=True):
            partitions = range(router.partitions)
            assigned += [TopicPartition(closings.topic, n, closings.offset(n)) for n in partitions]
        assigned.append(TopicPartition(self._operations.topic, 0, self._operations.offset))
        self._reader = FairReader(self._kafka_consumer, assigned)

    def step(self) -> None:
        """Learn what has come, and publish what is due.

        Raises
        ------
        PartitionsLost
            When this process is not the owner any more.
        Superseded
            When it was to stop while Redis was away.
        BeginAnew
            When an operator has a learner begin anew.
        ServiceUnavailable
            When Kafka has lost what was not yet learned.
        """
        assert self._reader is not None
        messages = self._reader.take(_WAIT_S)
        for message in messages:
            error = message.error()
            if error is not None:
                self._on_error(message, error)
            else:
                self._retrying(partial(self._consumers[str(message.topic())].take, message))
        for consumer in self._consumers.values():
            self._retrying(consumer.tick)
        for examples in self._examples.values():
            examples.record_versions()
        if self._log.urgent or not messages:
            self._log.commit()

    def finish(self) -> None:
        """Publish what was learned. Raises as `step` does."""
        for examples in self._examples.values():
            self._retrying(examples.finish)

    def close(self) -> None:
        """Stop reading, and end the threads that write."""
        self._kafka_consumer.close()
        for examples in self._examples.values():
            examples.close()

    def _on_error(self, message: Message, error: KafkaError) -> None:
        """Handle an error. The end of a partition is one: no record is left before it, after any gaps."""
        if error.code() == KafkaError._PARTITION_EOF:
            offset, partition = int(message.offset() or 0), int(message.partition() or 0)
            if message.topic() in self._examples:
                self._examples[str(message.topic())].reach(offset)
            elif message.topic() == self._operations.topic:
                self._operations.reach(offset)
            else:
                self._closings[str(message.topic())].reach(partition, offset)
        elif error.fatal() or error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise ServiceUnavailable(
                f"topic '{message.topic()}' cannot be read on from offset {message.offset()}: {error.str()}. "
                "Restore the topic: models and epochs follow from it"
            )
        else:
            _log.warning("Kafka: %s", error.str())

    def _retrying(self, action: Callable[[], None]) -> None:
        """Repeat an action while Redis cannot take it. Every action can be repeated from where it failed."""
        while True:
            try:
                action()
            except REDIS_ERRORS as error:
                again_s = time.monotonic() + self._retries.failed(error)
                while time.monotonic() < again_s:
                    if self._is_over():
                        raise Superseded from error
                    time.sleep(_WAIT_S)
            else:
                return self._retries.succeeded()
