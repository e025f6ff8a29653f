"""Feeding records of the predictions and outcomes topics to the join; dead letters for what it cannot use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import RecordError
from headrace.schemas.marks import read_mark
from headrace.schemas.records import Outcome, misfit
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.release import Refused
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import LoggedPrediction
from headrace.streams.log.records import LogRecord

_R = TypeVar("_R")


def feed_record(
    join: PartitionJoin, source: Input, topic: str, partition: int, record: LogRecord
) -> DeadLetter | None:
    """Give one record to the join; a dead letter when it cannot be read. One read before is passed over."""
    if record.offset < join.next_offsets[source]:
        return None
    try:
        _feed(join, source, record)
    except RecordError as error:
        join.skip(source, record.offset)
        return DeadLetter.of_record(topic, partition, record, "malformed", str(error))
    return None


def refused_dead_letter(refused: Refused, topic: str, partition: int) -> DeadLetter:
    """The dead letter of a record that the join had read and has no place for."""
    key, value = refused.record.key.encode(), refused.record.to_bytes()
    record = LogRecord(refused.offset, refused.record.ts_ms, key, value)
    return DeadLetter.of_record(topic, partition, record, refused.kind, refused.reason)


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
