"""Checkpoints as transactions: records, and the offsets that they follow from, together or not at all."""

from __future__ import annotations

import logging
import math
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import REQUEST_S
from headrace.streams.log.kafka_producer import NOW
from headrace.streams.log.producer import LogProducer

_log = logging.getLogger(__name__)

Place = tuple[str, int]
_PAUSE_S = 0.5
# A request that is not answered so long after its own time-out, and after the broker has aborted its
# transaction, is stuck.
_GRACE_S = 10
_LOST = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
)


class Records(NamedTuple):
    """Keys and values for one partition of a topic, each with these headers and this time (epoch ms)."""

    topic: str
    partition: int
    entries: Sequence[tuple[bytes | None, bytes | None]]
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int = NOW


class _StuckRequest(Exception):
    """A request to librdkafka that does not return."""


class PartitionsLost(HeadraceError):
    """The group has given this member's partitions to others: what follows from them is theirs to write."""


class TransactionalProducer(LogProducer):
    """Commits records with the offsets of a member of a consumer group; Kafka refuses a former member.

    Records are in the log before the group is asked whether the member still counts. So whoever is given a
    partition after that finds them, committed or aborted, below the end of the log as it is then.

    A commit returns when the broker has noted the decision. While the markers are being written, the same
    transactional id can begin nothing, and librdkafka asks again 20 ms later. Another id can begin at once.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    name
        Begins the transactional id; the rest is random, since the group fences, not the id.
    timeout_ms
        After so long the broker aborts a transaction that is still open. Until then, whoever restores
        waits for it: the session time-out of the group.
    turns
        How many producers take turns; more than one where a transaction may follow another at once.
    """

    def __init__(self, kafka: Kafka, name: str, timeout_ms: int, turns: int = 1) -> None:
        self._name, self._stuck_s = name, math.ceil(max(timeout_ms / 1000, REQUEST_S)) + _GRACE_S
        super().__init__(kafka, {"transactional.id": self._identity(), "transaction.timeout.ms": timeout_ms})
        self._others = deque(self._another() for _ in range(turns - 1))
        self._initialized: set[Producer] = set()
        self._undelivered: KafkaError | None = None

    def _delivered(self, error: Any, message: Any) -> None:
        super()._delivered(error, message)
        self._undelivered = self._undelivered or error

    def _identity(self) -> str:
        return f"{self._name}.{uuid.uuid4().hex[:12]}"

    def commit(self, records: Iterable[Records], offsets: Mapping[Place, int], member: Any) -> None:
        """Write records and commit offsets in one transaction; blocks, and tries again while Kafka is away.

        Parameters
        ----------
        records
            In the order in which they are to stand in their partitions.
        offsets
            Next offset to read by topic and partition.
        member
            Metadata of the group's consumer, taken when the partitions were assigned.

        Raises
        ------
        PartitionsLost
            When the group has given the member up. Nothing of the transaction is seen by anyone.
        ServiceUnavailable
            When Kafka refuses for good, for example for want of rights, or whether it has committed cannot
            be known: go on from the log.
        """
        batches, places = list(records), [TopicPartition(*place, at) for place, at in offsets.items()]
        self._others.append(self._producer)
        self._producer = self._others.popleft()
        while True:
            try:
                self._try(batches, places, member)
                return
            except KafkaException as error:
                self._give_up(error.args[0])
            except _StuckRequest as error:
                _log.warning("%s; another producer takes over", error)
                self._renew()

    def _try(self, batches: Sequence[Records], places: Sequence[TopicPartition], member: Any) -> None:
        if self._producer not in self._initialized:
            self._retrying(self._producer.init_transactions, REQUEST_S)
            self._initialized.add(self._producer)
        self._failure = self._undelivered = None
        self._producer.begin_transaction()
        for topic, partition, entries, headers, timestamp_ms in batches:
            if headers or timestamp_ms != NOW:
                for key, value in entries:
                    self.send(topic, partition, key, value, headers, timestamp_ms)
            else:
                self.send_all(topic, partition, entries)
        # Bounded: a producer that is stuck, as after a broker that came back, is replaced by another.
        if self._producer.flush(REQUEST_S) or self._undelivered is not None:
            raise KafkaException(self._undelivered or KafkaError(KafkaError._TIMED_OUT))
        self._send_offsets(places, member)
        self._end()

    def _send_offsets(self, places: Sequence[TopicPartition], member: Any) -> None:
        """Have the group check the member, and take its offsets once the transaction is committed."""
        self._retrying(self._producer.send_offsets_to_transaction, list(places), member, REQUEST_S)

    def _end(self) -> None:
        try:
            self._retrying(self._producer.commit_transaction, REQUEST_S)
        except _StuckRequest as error:
            raise ServiceUnavailable(f"nobody knows whether a checkpoint was committed: {error}") from error

    def _retrying(self, request: Callable[..., None], *arguments: Any) -> None:
        """Make a request again for as long as librdkafka says that it may be."""
        while True:
            try:
                _bounded(self._stuck_s, request, *arguments)
                return
            except KafkaException as error:
                cause: KafkaError = error.args[0]
                if not cause.retriable() or cause.txn_requires_abort():
                    raise
                _log.warning("Kafka does not take a checkpoint yet: %s", cause.str())

    def _give_up(self, cause: KafkaError) -> None:
        """Abort. Returns when the same may be tried again."""
        if cause.fatal():  # such as a transaction that the broker has aborted in the meantime
            self._renew()
        else:
            try:
                _bounded(self._stuck_s, self._producer.abort_transaction, REQUEST_S)
            except (KafkaException, _StuckRequest) as error:
                _log.warning("a transaction was not aborted: %s", error)
                self._renew()
        if cause.code() in _LOST:
            raise PartitionsLost(
                f"the consumer group has given up this member: {cause.str()}; its partitions are restored "
                "where they are now"
            )
        if cause.code() in _REFUSED:
            raise ServiceUnavailable(f"Kafka refuses a checkpoint: {cause.str()}")
        _log.warning("a checkpoint was not taken, and is tried again: %s", cause.str())
        threading.Event().wait(_PAUSE_S)

    def _renew(self) -> None:
        """Go on with another producer: the broker aborts what this one has open."""
        self._initialized.discard(self._producer)
        self._producer = self._another()

    def _another(self) -> Producer:
        return Producer({**self._settings, "transactional.id": self._identity()})


def _bounded(most_s: int, request: Callable[..., None], *arguments: Any) -> None:
    """Make a request in a thread of its own.

    librdkafka may pass over the time-out: while the coordinator of a group moves, it asks without end for
    offsets to be taken, and the call stands still with it.

    Raises
    ------
    _StuckRequest
        When it has not returned after so many seconds. Its thread is left.
    """
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            request(*arguments)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run, name="kafka-transaction", daemon=True)
    thread.start()
    for _ in range(most_s):  # second by second: time in which this process is paused does not count
        thread.join(1.0)
        if not thread.is_alive():
            break
    if not ended:
        raise _StuckRequest(f"librdkafka has not answered '{request.__name__}' for {most_s} s")
    if ended[0] is not None:
        raise ended[0]


_REFUSED = (
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    KafkaError.MSG_SIZE_TOO_LARGE,
)
