"""Time marks for inputs of the join where nothing comes, so that predictions close without an outcome.

Event time goes on by the clock of the machine while an input is silent. Since that is written into the log,
whoever replays it gives out the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.group_offsets import committed_offsets
from headrace.streams.log.reader import end_offset, read_log

_STEPS = 100  # marks of a silent input within a wait, at most: a restart goes on from the last one


class Silence:
    """Tells when an input of a partition is silent, and the event time then.

    The event time is the greater clock of both inputs, and what has passed since it advanced.

    Parameters
    ----------
    join
        The join of the partition.
    idle_ms
        An input without a record for so long is silent.
    wait_ms
        The wait of the router.
    now_s
        Seconds of a monotonic clock.
    """

    def __init__(self, join: PartitionJoin, idle_ms: int, wait_ms: int, now_s: float) -> None:
        self._join, self._idle_s, self._step_ms = join, idle_ms / 1000, max(wait_ms // _STEPS, 1)
        self._heard_s = dict.fromkeys(INPUTS, now_s)
        self._clock_ms, self._clock_s = self._greatest_ms, now_s

    @property
    def _greatest_ms(self) -> int | None:
        clocks = [clock for clock in self._join.clocks.values() if clock is not None]
        return max(clocks, default=None)

    def heard(self, source: Input, now_s: float) -> None:
        """Note that records of an input have been processed."""
        self._heard_s[source] = now_s
        if self._greatest_ms != self._clock_ms:
            self._clock_ms, self._clock_s = self._greatest_ms, now_s

    def marks(self, now_s: float) -> Mapping[Input, int]:
        """Return the time that each silent input is to be told, epoch milliseconds.

        None are told while nothing waits for the time, and while nothing is due and the last mark is young.
        """
        due_ms = self._join.next_due_ms
        if due_ms is None or self._clock_ms is None:
            return {}
        time_ms = self._clock_ms + int((now_s - self._clock_s) * 1000)
        silent: list[Input] = [one for one in INPUTS if now_s - self._heard_s[one] >= self._idle_s]
        return {one: time_ms for one in silent if self._is_wanted(self._join.clocks[one], time_ms, due_ms)}

    def _is_wanted(self, clock_ms: int | None, time_ms: int, due_ms: int) -> bool:
        return clock_ms is None or clock_ms < due_ms <= time_ms or time_ms - clock_ms >= self._step_ms


def has_read_all(kafka: Kafka, group: str, topic: str) -> bool:
    """Whether a consumer group has read every record of a topic. Blocks.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    places = [(topic, n) for n in range(partition_count(kafka, topic))]
    committed = committed_offsets(kafka, group, places)
    return not any(_is_unread(kafka, *place, committed.get(place, 0)) for place in places)


def _is_unread(kafka: Kafka, topic: str, partition: int, start: int) -> bool:
    if start >= end_offset(kafka, topic, partition):
        return False
    return next(read_log(kafka, topic, partition, start), None) is not None
