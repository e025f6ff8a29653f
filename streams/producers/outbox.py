"""Records on their way to Kafka: bounded, and never silent about a record that did not arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.schemas.errors import DeliveryError, SettingsError
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.log.delivered_offsets import DeliveredOffsets
from headrace.streams.log.kafka_producer import ALWAYS, ANY_PARTITION, KafkaProducer, KafkaRecord

_FULL_S = 0.1  # pause while the queue is full
_DEFAULTS = {
    "linger.ms": 5,
    "delivery.timeout.ms": 120_000,
    "message.max.bytes": 1_000_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
    "log_level": 0,  # errors are raised
}
_REMEDIES = {
    KafkaError.MSG_SIZE_TOO_LARGE: "Send less, or raise max.message.bytes of the topic",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "Create the topic; `headrace apply` makes those of a project",
    KafkaError._UNKNOWN_TOPIC: "Create the topic; `headrace apply` makes those of a project",
    KafkaError._UNKNOWN_PARTITION: "Write to partitions that the topic has",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Give this user the right to write to the topic",
    KafkaError.INVALID_TIMESTAMP: "See message.timestamp.type and message.timestamp.*.max.ms of the topic",
    KafkaError._MSG_TIMED_OUT: "See whether the brokers run and can be reached, then send them again",
}


class Deliveries(DeliveredOffsets):
    """Outcomes of the records handed over for one topic. Safe to use from any thread."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self._failed: Counter[int] = Counter()
        self._first: KafkaError | None = None

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Note the delivery report of a record."""
        partition = message.partition()
        if error is None:
            self.delivered(partition, message.offset())
        else:
            self._fail(ANY_PARTITION if partition is None else partition, 1, error)

    def refuse(self, records: int, error: KafkaError) -> None:
        """Note records that were not even handed over."""
        self._fail(ANY_PARTITION, records, error)

    def _fail(self, partition: int, records: int, error: KafkaError) -> None:
        with self._lock:
            self._failed[partition] += records
            self._first = self._first or error

    @property
    def failed(self) -> bool:
        """Whether a record was not delivered since `take_failure` was last called."""
        return self._first is not None

    def take_failure(self, connection: str | None = None) -> DeliveryError | None:
        """Return the error of records not delivered since the last call; None when there are none.

        Parameters
        ----------
        connection
            Last error of the client's connections, if there was one.
        """
        if self._first is None:
            return None
        with self._lock:
            first, self._first = self._first, None
            failed, self._failed = self._failed, Counter()
        cause = f"{first.str()} ({connection})" if connection else first.str()
        return DeliveryError(self.topic, failed, cause, _REMEDIES.get(first.code(), "See the broker's log"))


class Outbox(KafkaProducer):
    """A producer for records of any number of topics.

    Parameters
    ----------
    kafka
        Bootstrap servers, ``host:port``; or a configuration of librdkafka: security, ``linger.ms``,
        ``compression.type``, ``delivery.timeout.ms``, the bounds ``queue.buffering.max.messages`` and
        ``queue.buffering.max.kbytes``.

    Raises
    ------
    SettingsError
        When the configuration cannot be used, or would give up the delivery of every record, once and in
        order.
    """

    def __init__(self, kafka: Kafka) -> None:
        properties = client_config(kafka)
        for name, value in ALWAYS.items():
            if str(properties.get(name, value)).lower() != str(value).lower():
                raise SettingsError(
                    f"producer setting {name}={properties[name]!r}: it is always {value!r}; leave it"
                )
        try:
            super().__init__(kafka, _DEFAULTS)
        except KafkaException as error:
            raise SettingsError(
                f"producer settings: {error.args[0].str()}; they are those of librdkafka's CONFIGURATION.md"
            ) from error

    @property
    def max_bytes(self) -> int:
        """Size of the largest record, in bytes."""
        return int(self._settings["message.max.bytes"])

    def send(self, records: Sequence[KafkaRecord], deliveries: Deliveries) -> None:
        """Hand over records of one topic in order. Waits while the queue is full.

        Raises
        ------
        DeliveryError
            When earlier records were not delivered, or one is refused; the rest are then not handed over.
        """
        self.serve()
        self.raise_failures(deliveries)
        for sent, record in enumerate(records):
            try:
                while not self.offer(deliveries.topic, record, deliveries.report):
                    self.serve(_FULL_S)
                    if deliveries.failed:
                        raise KafkaException(KafkaError(KafkaError._QUEUE_FULL))
            except KafkaException as error:
                deliveries.refuse(len(records) - sent, error.args[0])
                self.raise_failures(deliveries)

    def flush(self, deliveries: Deliveries) -> None:
        """Block until every record handed over is delivered or given up, ``delivery.timeout.ms`` at most.

        Raises
        ------
        DeliveryError
            When records of this topic were not delivered.
        """
        self.settle()
        self.raise_failures(deliveries)
        self.locate(deliveries)

    def locate(self, deliveries: Deliveries) -> None:
        """See `DeliveredOffsets.locate`."""
        deliveries.locate(self._kafka)

    def settle(self) -> None:
        """Block until every record handed over, of any topic, is delivered or given up."""
        self._producer.flush()

    def raise_failures(self, deliveries: Deliveries) -> None:
        """Raise a `DeliveryError` for records that were not delivered since the last call."""
        failure = deliveries.take_failure(self._errors.text())
        if failure is not None:
            raise failure
