"""Outcome intake: labels out of event records."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import SchemaError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.marks import mark_headers
from headrace.schemas.records import Outcome
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.join.outcome_reader import ClockMark, OutcomeReader
from headrace.streams.log.records import LogRecord, LogRecords

SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Arrival",
        "fields": [
            {"name": "flight", "type": ["null", "string"]},
            {"name": "number", "type": "long"},
            {"name": "delay", "type": ["null", "double"]},
            {"name": "at", "type": "long"},
        ],
    }
)


def a_source(unit: str = "ms") -> SourceSpec:
    fields = {
        "name": "arrivals",
        "topic": "arr",
        "reader_schema": SCHEMA,
        "writer_schemas": {1: SCHEMA},
        "timestamp_field": "at",
        "timestamp_unit": unit,
        "tile_ms": 1000,
        "late_tiles": 1,
        "max_future_ms": 500,
        "shards": 0,
    }
    return SourceSpec.model_validate(fields)


def a_reader(unit: str = "ms", **spec: Any) -> OutcomeReader:
    fields = {"source": "arrivals", "key_field": "flight", "label_field": "delay"} | spec
    return OutcomeReader(a_source(unit), OutcomeSpec.model_validate(fields), 2)


def a_record(offset: int, at: int, delay: float | None = 1.5, flight: str | None = "LH1") -> LogRecord:
    fields = {"flight": flight, "number": offset, "delay": delay, "at": at}
    return LogRecord(offset, 1000, None, encode_confluent(SCHEMA, 1, fields))


def test_a_record_becomes_an_outcome_named_by_its_place_in_the_log() -> None:
    found = a_reader().read(LogRecords.of([a_record(7, 900)]))
    assert found == [Outcome(outcome_id="arr/2/7", key="LH1", label=1.5, ts_ms=900)]


def test_key_and_id_may_be_whole_numbers_and_time_in_microseconds() -> None:
    reader = a_reader("us", key_field="number", id_field="flight")
    assert reader.read(LogRecords.of([a_record(7, 900_999)])) == [
        Outcome(outcome_id="LH1", key="7", label=1.5, ts_ms=900)
    ]


def test_records_without_use_are_counted_and_the_rest_goes_on() -> None:
    reader = a_reader()
    records = [
        a_record(0, 900, delay=None),
        a_record(1, 901, delay=float("nan")),
        a_record(2, 902, flight=None),
        LogRecord(3, 1000, None, b"no avro"),
        LogRecord(4, 1000, None, None),
        a_record(5, 1501),
        a_record(6, 906),
    ]
    assert [item.ts_ms for item in reader.read(LogRecords.of(records)) if isinstance(item, Outcome)] == [906]
    counts = {"outcomes": 1, "unlabelled": 2, "malformed": 3, "future": 1, "marks": 0}
    assert asdict(reader.counts) == counts
    assert (reader.next_offset, reader.clock_ms) == (7, 906)


def test_a_mark_carries_the_clock_of_its_partition() -> None:
    reader = a_reader()
    found = reader.read(
        LogRecords.of(
            [a_record(0, 900), LogRecord(1, 1000, None, None, headers=mark_headers(800)), a_record(2, 950)]
        )
    )
    assert found[1] == ClockMark(900)
    assert reader.clock_ms == 950


def test_a_restored_reader_passes_over_what_was_read() -> None:
    reader, again = a_reader(), a_reader()
    reader.read(LogRecords.of([a_record(0, 900), a_record(1, 910)]))
    again.restore(reader.encode())
    assert [item.ts_ms for item in again.read(LogRecords.of([a_record(1, 910), a_record(2, 920)]))] == [920]  # type: ignore[union-attr]
    assert (again.counts.outcomes, again.clock_ms) == (3, 920)


def test_a_label_that_is_no_number_is_refused() -> None:
    with pytest.raises(SchemaError, match="label field 'flight' is a string"):
        a_reader(label_field="flight")
