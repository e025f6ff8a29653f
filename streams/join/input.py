"""Records of the predictions and outcomes topics, read for the join; dead letters for those of no use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import RecordError
from headrace.schemas.marks import read_mark
from headrace.schemas.records import Outcome, misfit
from headrace.streams.join.outputs import Rejected
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import LoggedPrediction
from headrace.streams.log.records import LogRecord

_R = TypeVar("_R")


def feed_record(
    join: PartitionJoin, source: Input, topic: str, partition: int, record: LogRecord
) -> DeadLetter | None:
    """Process one record, unless it was before; returns a dead letter when it cannot be read."""
    if record.offset < join.next_offsets[source]:
        return None
    try:
        _feed(join, source, record)
    except RecordError as error:
        join.skip(source, record.offset)
        return DeadLetter.of_record(topic, partition, record, "malformed", str(error))
    return None


def rejected_dead_letter(rejected: Rejected, topic: str, partition: int) -> DeadLetter:
    """Return the dead letter of a record that leads to no output."""
    key, value = rejected.record.key.encode(), rejected.record.to_bytes()
    record = LogRecord(rejected.offset, rejected.record.ts_ms, key, value)
    return DeadLetter.of_record(topic, partition, record, rejected.kind, rejected.reason)


def _feed(join: PartitionJoin, source: Input, record: LogRecord) -> None:
    if record.value is None:
        mark = read_mark(record.headers)
        if mark is None:
            raise RecordError("a record without a value that is no time mark")
        join.mark(source, mark, record.offset)
    elif source == "predictions":
        join.predict(_parsed(LoggedPrediction.read, record.value), record.offset)
    else:
        join.outcome(_finite(_parsed(Outcome.model_validate_json, record.value)), record.offset)


def _parsed(read: Callable[[bytes], _R], value: bytes) -> _R:
    try:
        return read(value)
    except ValidationError as error:
        raise RecordError(f"no {error.title}: {misfit(error)}") from error


def _finite(outcome: Outcome) -> Outcome:
    if not math.isfinite(outcome.label):
        raise RecordError(f"label {outcome.label} is not a finite number")
    return outcome
