"""Records of the predictions and outcomes topics, read for the join; dead letters for those of no use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import READER_AHEAD_MS, time_fault
from headrace.schemas.marks import Mark, read_mark
from headrace.schemas.order_marks import read_order
from headrace.schemas.records import Outcome, Prediction, read_record
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.merge import InputMerge, Taken
from headrace.streams.join.outputs import Rejected
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import LoggedPrediction
from headrace.streams.log.records import LogRecord

_R = TypeVar("_R")
MOST_BYTES: Final = 1 << 20  # what is made of a prediction has to fit into topics of 8 MiB


@dataclass(frozen=True)
class Refused:
    """A record that is of no use, and why."""

    record: LogRecord
    kind: Literal["malformed", "future"]
    reason: str


Read = Prediction | Outcome | Mark | Refused


class PartitionInputs:
    """Reads the records of the inputs of a partition, and has its join process them in their one order.

    Parameters
    ----------
    join
        The join, as far as it is.
    topics
        Of its router.
    partition
        Its partition.
    max_future_ms
        How far ahead of its append time a record or mark may be.

    Attributes
    ----------
    merge
        What was read and is not processed yet.
    """

    def __init__(self, join: PartitionJoin, topics: RouterTopics, partition: int, max_future_ms: int) -> None:
        self._join, self._topics, self._partition = join, topics, partition
        self._max_future_ms, self._next = max_future_ms, dict(join.next_offsets)
        self.merge = InputMerge[Read](join.order)

    def read(self, source: Input, record: LogRecord, appended_ms: int) -> None:
        """Take a record in, unless it was read before.

        Parameters
        ----------
        appended_ms
            When the record was appended, by a clock that is trusted, epoch milliseconds.
        """
        if record.offset < self._next[source]:
            return
        self._next[source] = record.offset + 1
        order_ms = read_order(record.headers) if record.value is None else None
        try:
            if order_ms is not None:
                read, time_ms, ahead_ms = None, order_ms, self._max_future_ms + READER_AHEAD_MS
            else:
                read = _read(source, record)
                if isinstance(read, Outcome):
                    _check_label(self._join, read)
                time_ms, ahead_ms = self._time_ms(source, read), self._max_future_ms
            if why := time_fault(time_ms, appended_ms, ahead_ms):
                return self.merge.put(source, record.offset, None, Refused(record, "future", why))
            self.merge.put(source, record.offset, time_ms, read)
        except RecordError as error:
            self.merge.put(source, record.offset, None, Refused(record, "malformed", str(error)))

    def next_offset(self, source: Input) -> int:
        """Return the offset behind the last record that was read, processed or not."""
        return self._next[source]

    def process(self) -> list[DeadLetter]:
        """Have the join process the records whose turn has come; returns dead letters of those refused."""
        return [letter for taken in self.merge.take() if (letter := self._process(taken)) is not None]

    def _process(self, taken: Taken[Read]) -> DeadLetter | None:
        join, (source, offset, order_ms, item) = self._join, taken
        join.order[source] = order_ms
        if item is None:
            join.pass_over(source, offset)
        elif isinstance(item, Mark):
            join.mark(source, item, offset)
        elif isinstance(item, Prediction):
            join.predict(item, offset)
        elif isinstance(item, Outcome):
            join.outcome(item, offset)
        else:
            join.skip(source, offset)
            topic = self._topics.input(source)
            return DeadLetter.of_record(topic, self._partition, item.record, item.kind, item.reason)
        return None

    def _time_ms(self, source: Input, read: Mark | Prediction | Outcome) -> int:
        return _marked(self._join, source, read) if isinstance(read, Mark) else read.ts_ms


def read_prediction(value: bytes) -> LoggedPrediction:
    """Read a prediction.

    Raises
    ------
    RecordError
        When the bytes are none, or more than a prediction has.
    """
    return _parsed(LoggedPrediction.read, value)


def rejected_dead_letter(rejected: Rejected, topic: str, partition: int) -> DeadLetter:
    """Return the dead letter of a record that leads to no output."""
    key, value = rejected.record.key.encode(), rejected.record.to_bytes()
    record = LogRecord(rejected.offset, rejected.record.ts_ms, key, value)
    return DeadLetter.of_record(topic, partition, record, rejected.kind, rejected.reason)


def _check_label(join: PartitionJoin, outcome: Outcome) -> None:
    """Refuse a label of another kind of target, which a router before may have had."""
    if isinstance(outcome.label, str) != join.has_text_labels:
        kind = "texts, of a category" if join.has_text_labels else "numbers"
        raise RecordError(f"the label is {outcome.label!r:.60}, and labels of this router are {kind}")


def _marked(join: PartitionJoin, source: Input, mark: Mark) -> int:
    if mark.partition is not None and not join.is_made_of_partitions(source):
        # The clock would wait for marks of partitions that are not there.
        raise RecordError(f"a time mark of partition {mark.partition}, and its topic is made of none")
    return mark.time_ms


def _read(source: Input, record: LogRecord) -> Mark | Prediction | Outcome:
    if record.value is None:
        mark = read_mark(record.headers)
        if mark is None:
            raise RecordError("a record without a value that is no time mark")
        return mark
    if source == "predictions":
        return read_prediction(record.value)
    return _parsed(Outcome.model_validate_json, record.value)


def _parsed(read: Callable[[bytes], _R], value: bytes) -> _R:
    if len(value) > MOST_BYTES:
        raise RecordError(f"{len(value)} bytes are more than the {MOST_BYTES} of a prediction")
    return read_record(read, value)
