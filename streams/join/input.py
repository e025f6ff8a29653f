"""Records of the predictions and outcomes topics, read for the join; dead letters for those of no use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import time_fault
from headrace.schemas.marks import Mark, read_mark
from headrace.schemas.records import Outcome, Prediction, read_record
from headrace.streams.join.outputs import Rejected
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import LoggedPrediction
from headrace.streams.log.records import LogRecord

_R = TypeVar("_R")
MOST_BYTES: Final = 1 << 20  # what is made of a prediction has to fit into topics of 8 MiB


def feed_record(
    join: PartitionJoin,
    source: Input,
    topic: str,
    partition: int,
    record: LogRecord,
    appended_ms: int,
    max_future_ms: int,
) -> DeadLetter | None:
    """Process one record, unless it was before; returns a dead letter when it is refused.

    Parameters
    ----------
    appended_ms
        When the record was appended, by a clock that is trusted, epoch milliseconds.
    max_future_ms
        How far ahead of that its time may be.
    """
    if record.offset < join.next_offsets[source]:
        return None
    try:
        read = _read(source, record)
        if isinstance(read, Outcome):
            _check_label(join, read)
        time_ms = _marked(join, source, read) if isinstance(read, Mark) else read.ts_ms
        if why := time_fault(time_ms, appended_ms, max_future_ms):
            join.skip(source, record.offset)
            return DeadLetter.of_record(topic, partition, record, "future", why)
    except RecordError as error:
        join.skip(source, record.offset)
        return DeadLetter.of_record(topic, partition, record, "malformed", str(error))
    if isinstance(read, Mark):
        join.mark(source, read, record.offset)
    elif isinstance(read, Prediction):
        join.predict(read, record.offset)
    else:
        join.outcome(read, record.offset)
    return None


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
