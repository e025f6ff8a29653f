"""A thread that ends its process when that makes no progress."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import read_log
from headrace.streams.runtime.app import die
from headrace.streams.runtime.health import PartitionHealth, ProcessHealth, Where
from headrace.streams.runtime.stalls import StallDetector

_log = logging.getLogger(__name__)

_LOOK_S = 5.0


class Watchdog:
    """Looks at the health of its process every few seconds.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    health
        Returns the health of this process; called from another thread.
    stuck_s
        A process that makes no progress for so long, with records before it, is ended.

    Attributes
    ----------
    ends
        Ends of the topics as of the last look; empty when Kafka could not be asked.
    """

    def __init__(self, kafka: Kafka, health: Callable[[], ProcessHealth], stuck_s: float) -> None:
        self._kafka, self._stuck_s = kafka, stuck_s
        self._admin = KafkaAdmin(kafka)
        self._stalls = StallDetector(stuck_s)
        self.health = health
        self.ends: Mapping[Where, int] = {}

    def start(self) -> None:
        """Begin to look, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether checkpoints end as they should."""
        return self._stalls.is_alive(time.monotonic(), self.health())

    def _run(self) -> None:
        while True:
            time.sleep(min(_LOOK_S, self._stuck_s / 4))
            try:
                self.look()
            except Exception:  # the watchdog must not end before what it watches
                _log.exception("the progress of this process could not be judged")

    def look(self) -> None:
        """End the process if it makes no progress."""
        health = self.health()
        self.ends = self._read_ends(health)
        now_s = time.monotonic()
        for partition in self._stalls.stalled(now_s, health, self.ends):
            if partition.position is None or self._has_record(partition):
                die(HeadraceError(self._explain(partition)))
        if health.assigned and not self._stalls.is_alive(now_s, health):
            die(HeadraceError(f"no checkpoint has ended for {health.checkpoint_age_s:.0f} s; giving up"))

    def _explain(self, stalled: PartitionHealth) -> str:
        if stalled.position is None:
            what = f"the restore stands at offset {stalled.restoring.next_offset} of its changelog"
        else:
            what = f"it stands at offset {stalled.position} of {self.ends.get(stalled.where)}"
        return (
            f"{stalled.topic}[{stalled.partition}] makes no progress: {what} for {self._stuck_s:g} s, while "
            "neither Redis nor the schema registry is waited for; ending, so that a new process takes over"
        )

    def _read_ends(self, health: ProcessHealth) -> dict[Where, int]:
        try:
            wanted = [*(partition.where for partition in health.partitions), *health.unread]
            return self._admin.end_offsets(wanted, committed=True)
        except ServiceUnavailable as error:
            _log.warning("the ends of topics are not known: %s", error)
            return {}

    def _has_record(self, partition: PartitionHealth) -> bool:
        """Whether there is a record to process: the last offsets may be transaction markers."""
        try:
            records = read_log(self._kafka, partition.topic, partition.partition, partition.position or 0)
            return next(records, None) is not None
        except ServiceUnavailable:
            return False
