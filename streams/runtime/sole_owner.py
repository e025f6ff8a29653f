"""One process at a time owns a task; others stand by. The group of a topic with one partition decides."""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.runtime.app import die

_log = logging.getLogger(__name__)
_POLL_S = 0.1


@dataclass
class Ownership:
    """What the owner has until the group gives the partition to another.

    Attributes
    ----------
    member
        Metadata of the group's member, for transactions. That of the newest generation in which the
        partition has stayed here.
    lost
        Whether the group has said that it is over. A transaction of a former owner is refused also before.
    """

    member: Any
    lost: bool = False


class SoleOwner:
    """A member of a group that shares out one partition: whoever has it is the owner.

    An owner stays it when others join. It loses the partition when it ends, or when the group has not heard
    of it for the session time-out.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    group
        Name of the consumer group.
    topic
        The topic, with one partition. It is not read.
    session_timeout_ms
        How long the group waits for a member that died.

    Attributes
    ----------
    joined
        Whether the group has counted this process in.
    """

    def __init__(self, kafka: Kafka, group: str, topic: str, session_timeout_ms: int) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **client_config(kafka),
                "client.id": f"{socket.gethostname()}-{os.getpid()}",
                "group.id": group,
                "partition.assignment.strategy": "cooperative-sticky",  # who has the partition keeps it
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": round(session_timeout_ms / 3.5),
                "enable.auto.commit": False,
            }
        )
        self._changed = threading.Condition()
        self._ownership: Ownership | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ownership", daemon=True)
        self.joined = False

    def start(self) -> None:
        """Join the group, in a thread of its own, so that a long step of the owner costs no membership."""
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        self._thread.start()

    def close(self) -> None:
        """Leave the group: another may be the owner at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def wait(self, timeout_s: float) -> Ownership | None:
        """Return the ownership, or None when this process is not the owner after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ownership is not None, timeout_s)
            return self._ownership

    def wait_for_news(self, member: Any, timeout_s: float) -> None:
        """Wait until the group has said more than what made `member`, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ownership is None or self._ownership.member is not member, timeout_s
            )

    def _follow(self) -> None:
        try:
            while not self._stopping.is_set():
                message = self._consumer.poll(_POLL_S)
                error = None if message is None else message.error()
                if error is not None:
                    _log.warning("Kafka: %s", error.str())
        except Exception as error:
            die(error)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Take a partition, or go on with it in a new generation of the group."""
        if partitions:
            at_end = [TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions]
            consumer.incremental_assign(at_end)
            consumer.pause(partitions)
        member = consumer.consumer_group_metadata()
        with self._changed:
            self.joined = True
            if self._ownership is not None:
                self._ownership.member = member
            elif partitions:
                self._ownership = Ownership(member)
            self._changed.notify_all()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._changed:
            if self._ownership is not None and partitions:
                self._ownership.lost, self._ownership = True, None
            self._changed.notify_all()

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        _log.warning("lost %s: the group has given it to another", self._topic)
        self._revoked(consumer, partitions)
