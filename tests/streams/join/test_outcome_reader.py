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


def test_a_key_of_bytes_that_are_no_text_costs_its_record_alone() -> None:
    schema = SCHEMA.replace('["null", "string"]', '"bytes"')
    source = a_source().model_copy(update={"reader_schema": schema, "writer_schemas": {1: schema}})
    spec = OutcomeSpec(source="arrivals", key_field="flight", label_field="delay")
    reader = OutcomeReader(source, spec, 2)
    keys = (b"\xff", b"LH1", b"\xed\xa0\x80")
    events = [{"flight": key, "number": 1, "delay": 1.0, "at": 900} for key in keys]
    records = [LogRecord(n, 1000, None, encode_confluent(schema, 1, one)) for n, one in enumerate(events)]
    found = reader.read(LogRecords.of(records))
    assert [item.key for item in found if isinstance(item, Outcome)] == ["LH1"]
    assert [(one.offset, one.kind) for one in reader.take_dead_letters()] == [(0, "invalid"), (2, "invalid")]
    assert (reader.counts.outcomes, reader.counts.malformed, reader.next_offset) == (1, 2, 3)


def test_whatever_fails_on_a_record_costs_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(value: object) -> str:
        if value == 1:
            raise ZeroDivisionError("of a kind that nobody foresaw")
        return str(value)

    monkeypatch.setattr("headrace.streams.join.outcome_reader.natural_key", judged)
    reader = a_reader(key_field="number")
    found = reader.read(LogRecords.of([a_record(n, 900) for n in range(3)]))
    assert [item.key for item in found if isinstance(item, Outcome)] == ["0", "2"]
    (letter,) = reader.take_dead_letters()
    assert (letter.offset, letter.reason.split(":")[1]) == (1, " ZeroDivisionError")
    assert (reader.counts.malformed, reader.next_offset) == (1, 3)


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
