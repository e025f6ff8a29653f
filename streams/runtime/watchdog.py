"""A thread in a process that sees whether it makes progress, and ends it when it does not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.log.reader import read_log
from headrace.streams.runtime.app import die
from headrace.streams.runtime.health import PartitionVitals, Vitals, Watch, Where

_log = logging.getLogger(__name__)

_LOOK_S = 5.0
_REQUEST_S = 10.0


class Overseer:
    """Looks at the vital signs of a process every few seconds.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    vitals
        Gives the vital signs; called from another thread.
    stuck_s
        A process that stands still for so long, with records before it, is ended.
    """

    def __init__(self, kafka: Kafka, vitals: Callable[[], Vitals], stuck_s: float) -> None:
        self._kafka, self._stuck_s = kafka, stuck_s
        self._admin = AdminClient({**client_config(kafka), "log_level": 0})
        self._watch = Watch(stuck_s)
        self.vitals = vitals
        self.ends: Mapping[Where, int] = {}  # as of the last look; empty when Kafka did not tell

    def start(self) -> None:
        threading.Thread(target=self._run, name="overseer", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._watch.is_alive(time.monotonic(), self.vitals())

    def _run(self) -> None:
        while True:
            time.sleep(min(_LOOK_S, self._stuck_s / 4))
            try:
                self.look()
            except Exception:  # what oversees must not end before what it oversees
                _log.exception("the progress of this process could not be judged")

    def look(self) -> None:
        """End the process if it makes no progress."""
        vitals = self.vitals()
        self.ends = self._read_ends(vitals)
        now_s = time.monotonic()
        for one in self._watch.standing(now_s, vitals, self.ends):
            if one.position is None or self._has_record(one):
                die(HeadraceError(self._explain(one)))
        if vitals.assigned and not self._watch.is_alive(now_s, vitals):
            die(HeadraceError(f"no checkpoint has ended for {vitals.checkpoint_age_s:.0f} s; giving up"))

    def _explain(self, one: PartitionVitals) -> str:
        if one.position is None:
            what = f"the restore stands at offset {one.restoring.next_offset} of its changelog"
        else:
            what = f"it stands at offset {one.position} of {self.ends.get(one.where)}"
        return (
            f"{one.topic}[{one.partition}] makes no progress: {what} for {self._stuck_s:g} s, while neither "
            "Redis nor the schema registry is waited for; ending, so that a new process takes over"
        )

    def _read_ends(self, vitals: Vitals) -> dict[Where, int]:
        wanted = {TopicPartition(*one.where): OffsetSpec.latest() for one in vitals.partitions}
        if not wanted:
            return {}
        try:
            answers = self._admin.list_offsets(wanted, request_timeout=_REQUEST_S)
            return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}
        except KafkaException as error:
            _log.warning("Kafka does not tell the ends of topics: %s", error)
            return {}

    def _has_record(self, one: PartitionVitals) -> bool:
        """Whether there is one to process: offsets without any may be at the end, transaction markers."""
        try:
            found = read_log(self._kafka, one.topic, one.partition, one.position or 0)
            return next(found, None) is not None
        except ServiceUnavailable:
            return False
