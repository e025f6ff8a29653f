"""The train process: examples to published models, closings to epochs. One writer per learner."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.training.closings import ClosingConsumer
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.dead_letters import DeadLetters
from headrace.learners.training.examples import ExampleConsumer
from headrace.schemas.errors import DefinitionError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
from headrace.streams.log.producer import LogProducer
from headrace.streams.runtime.health import PartitionHealth, ProcessHealth
from headrace.streams.runtime.health_server import watch_process
from headrace.streams.runtime.restoring import Restoring

_log = logging.getLogger(__name__)
_BATCH = 500
_WAIT_S = 0.05


class TrainProcess:
    """Trains all learners of a project and keeps the epochs of its routers until it is told to stop.

    Parameters
    ----------
    plan
        The plan in force.
    kafka
        How to reach Kafka.
    redis_url
        Where pointers to versions, epochs and progress are published.
    store
        Where artifacts go. This process is its only writer.
    project
        The loaded ``learners.py``; must define the plan's learners.
    config
        How to run.

    Raises
    ------
    DefinitionError
        When neither the clock nor a router's `publish` would ever publish a version.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        redis_url: str,
        store: ModelStore,
        project: Project,
        config: TrainConfig | None = None,
    ) -> None:
        self._config = config or TrainConfig()
        self._kafka, publish_every_s = kafka, self._config.publish_every_s
        self._stopping = threading.Event()
        self._producer = LogProducer(kafka)
        self._kafka_consumer = Consumer(
            {
                **client_config(kafka),
                "group.id": f"headrace.{plan.project}.train",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": self._config.fetch_wait_ms,
            }
        )
        dead_letters = DeadLetters(self._producer, plan.topics.dead_letters)
        pointers = ModelPointers(redis_client(redis_url), plan.project)
        self._examples: dict[str, ExampleConsumer] = {}
        self._closings: dict[str, ClosingConsumer] = {}
        for router in plan.routers:
            if router.publish_ms == 0 and publish_every_s == 0:
                raise DefinitionError(
                    str(project.file), f"router '{router.name}'", "nothing would ever publish its models",
                    "Set `publish`, or let `train` publish by wall clock",
                )  # fmt: skip
            examples = ExampleConsumer(
                plan,
                router,
                project,
                store,
                pointers,
                dead_letters,
                self._producer.flush_blocking,
                publish_every_s,
            )
            closings = ClosingConsumer(
                plan,
                router,
                store.directory / f"epochs.{router.name}.json",
                router.partitions,
                self._producer,
                pointers,
                dead_letters,
            )
            self._examples[examples.topic] = examples
            self._closings[closings.topic] = closings
        self._consumers: dict[str, ExampleConsumer | ClosingConsumer] = {**self._examples, **self._closings}
        self._routers = plan.routers
        self._assigned = False
        self._retries = RedisRetries("models and epochs", _log)
        self._stepped_s = time.monotonic()

    def health(self) -> ProcessHealth:
        """Return the health at this moment. Safe to call from any thread.

        A step counts as a checkpoint: at its end everything is published that is due.
        """
        partitions = [
            PartitionHealth(examples.topic, 0, examples.offset, Restoring(0, 0), examples.clock_ms)
            for examples in self._examples.values()
        ]
        for router, closings in zip(self._routers, self._closings.values(), strict=True):
            for n in range(router.partitions):
                partitions.append(PartitionHealth(closings.topic, n, closings.offset(n), Restoring(0, 0)))
        return ProcessHealth(
            tuple(partitions),
            self._assigned,
            time.monotonic() - self._stepped_s,
            "redis" if self._retries.waiting else None,
            tuple(sample for consumer in self._consumers.values() for sample in consumer.samples()),
        )

    def stop(self) -> None:
        """Ask `work` to return; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; what was learned is published first. For the main thread.

        Raises
        ------
        SettingsError
            When the port for metrics cannot be had.
        ServiceUnavailable
            As `work`.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        config = self._config
        watch_process(self._kafka, self.health, config.stuck_s, config.metrics_host, config.metrics_port)
        self.work()

    def work(self) -> None:
        """Learn and publish until `stop`.

        Raises
        ------
        ServiceUnavailable
            When Kafka cannot be reached, or has lost what was not yet learned.
        """
        try:
            self._begin()
            while not self._stopping.is_set():
                self._step()
            for examples in self._examples.values():
                self._retrying(examples.finish)
            self._producer.flush_blocking()
        finally:
            self._kafka_consumer.close()

    def _begin(self) -> None:
        for consumer in self._consumers.values():
            self._retrying(consumer.begin)
        assigned = [
            TopicPartition(examples.topic, 0, examples.offset) for examples in self._examples.values()
        ]
        for router, closings in zip(self._routers, self._closings.values(), strict=True):
            partitions = range(router.partitions)
            assigned += [TopicPartition(closings.topic, n, closings.offset(n)) for n in partitions]
        self._kafka_consumer.assign(assigned)
        self._assigned = True

    def _step(self) -> None:
        first = self._kafka_consumer.poll(_WAIT_S)
        for message in [] if first is None else [first, *self._kafka_consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is not None:
                self._on_error(message, error)
            else:
                self._retrying(partial(self._consumers[str(message.topic())].take, message))
        for consumer in self._consumers.values():
            self._retrying(consumer.tick)
        for examples in self._examples.values():
            examples.record_versions()
        self._stepped_s = time.monotonic()

    def _on_error(self, message: Message, error: KafkaError) -> None:
        """Handle an error. The end of a partition is one: no record is left before it, after any gaps."""
        if error.code() == KafkaError._PARTITION_EOF:
            offset, partition = int(message.offset() or 0), int(message.partition() or 0)
            if message.topic() in self._examples:
                self._examples[str(message.topic())].reach(offset)
            else:
                self._closings[str(message.topic())].reach(partition, offset)
        elif error.fatal() or error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise ServiceUnavailable(
                f"topic '{message.topic()}' cannot be read on from offset {message.offset()}: {error.str()}. "
                "Restore the topic, or remove the model store to train from what is left"
            )
        else:
            _log.warning("Kafka: %s", error.str())

    def _retrying(self, action: Callable[[], None]) -> None:
        """Repeat an action while Redis cannot take it. Every action can be repeated from where it failed."""
        while True:
            try:
                action()
            except REDIS_ERRORS as error:
                if self._stopping.wait(self._retries.failed(error)):
                    raise
            else:
                return self._retries.succeeded()
