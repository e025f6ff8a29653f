"""Intake: what becomes of every record, one by one and in ranges."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest

from headrace.schemas.avro import AvroDecoder, Column, Decoded, encode_confluent
from headrace.schemas.marks import mark_headers
from headrace.streams.intake.udf import Rows, Transform, Transformed
from headrace.streams.intake.validation import Intake
from headrace.streams.log.records import LogRecord, LogRecords
from tests.support.purchase_record import record
from tests.support.purchase_udfs import transforms, udf_plan
from tests.support.purchases import EVENT_SCHEMA, purchases_plan


def intake() -> Intake:
    plan = purchases_plan(late_tiles=1, max_future_ms=100)
    return Intake(plan.sources[0], plan.stream_views, 3)


def kinds(taken: object) -> dict[int, str]:
    return {dead_letter.offset: dead_letter.kind for dead_letter in taken.rejected}


def test_a_record_more_than_the_allowance_behind_the_clock_is_late():
    # tile 10 ms, one tile of allowance:  clock 105 is in tile 10, so tile 9 is accepted and tile 8 is not
    taken = intake().take(LogRecords.of([record(0, 105), record(1, 90), record(2, 89)]))
    assert taken.batch.offset.tolist() == [0, 1]
    assert kinds(taken) == {2: "late"}


def test_a_future_record_is_dead_and_does_not_move_the_clock():
    one = intake()
    taken = one.take(
        LogRecords.of([record(0, 1000, appended_ms=900), record(1, 1001, appended_ms=900), record(2, 995)])
    )
    assert kinds(taken) == {1: "future"}
    assert taken.clock_ms == 1000


def test_a_mark_moves_the_clock_and_a_future_mark_does_not():
    one = intake()
    one.take(LogRecords.of([LogRecord(0, 500, None, None, mark_headers(500))]))
    assert one.clock_ms == 500
    taken = one.take(LogRecords.of([LogRecord(1, 500, None, None, mark_headers(601))]))
    assert one.clock_ms == 500
    assert kinds(taken) == {1: "future"}
    assert one.counts.as_dict() == {"applied": 0, "late": 0, "dead": 1, "marks": 1}


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ({"event_ms": None}, "invalid", "event_ms is null"),
        ({"user": None}, "invalid", "join key user is null"),
        ({"amount": float("inf")}, "invalid", "amount = inf cannot be summed"),
        ({"amount": 1e15}, "invalid", "declare a larger headrace.quantum"),
        ({"shop": "é" * 33}, "invalid", "shop has 66 bytes, and of a text 64 at most are held; shorten it"),
    ],
)
def test_an_invalid_record_is_dead_with_a_reason_that_names_the_field(fields, kind, says):
    taken = intake().take(
        LogRecords.of([record(0, 10), record(1, **{"event_ms": 10, **fields}), record(2, 10)])
    )
    assert taken.batch.offset.tolist() == [0, 2]
    (dead_letter,) = taken.rejected
    assert dead_letter.kind == kind
    assert says in dead_letter.reason


def test_text_of_64_bytes_is_held_and_nobody_minds_a_longer_one_that_no_view_holds():
    taken = intake().take(LogRecords.of([record(0, 10, shop="é" * 32, note="n" * 500)]))
    assert taken.batch.columns["shop"].values.tolist() == [("é" * 32).encode()]
    assert not taken.rejected


def test_a_dead_letter_carries_topic_partition_offset_and_the_original_bytes():
    broken = LogRecord(7, 5, b"the key", b"not avro at all")
    (dead_letter,) = intake().take(LogRecords.of([broken])).rejected
    assert (dead_letter.topic, dead_letter.partition, dead_letter.offset) == ("shop.purchases", 3, 7)
    assert base64.b64decode(dead_letter.value) == broken.value
    assert base64.b64decode(dead_letter.key) == broken.key


@pytest.mark.parametrize("poison", range(7))
def test_a_record_that_breaks_the_decoder_itself_is_bisected_out(monkeypatch, poison):
    decode = AvroDecoder.decode

    def fragile(self: AvroDecoder, payloads: list[bytes | None]) -> Decoded:
        if any(payload and b"poison" in payload for payload in payloads):
            raise MemoryError("the decoder itself gives up")
        return decode(self, payloads)

    monkeypatch.setattr(AvroDecoder, "decode", fragile)
    records = [record(n, 10 + n, shop="poison" if n == poison else "a") for n in range(7)]
    one = intake()
    taken = one.take(LogRecords.of(records))
    assert taken.batch.offset.tolist() == [n for n in range(7) if n != poison]
    assert [(dead_letter.offset, dead_letter.kind) for dead_letter in taken.rejected] == [
        (poison, "malformed")
    ]
    assert "MemoryError" in taken.rejected[0].reason
    assert one.counts.as_dict() == {"applied": 6, "late": 0, "dead": 1, "marks": 0}


POISON = {
    "avro": [b"", b"x", b"\0\0\0\0\x07", b"\0\0\0\0\x09\x02", b"\0\0\0\0\x07" + b"\xff" * 40, b"{}"],
    "json": [
        b"",
        b"x",
        b"null",
        b'{"user": "1"}',
        b'{"user": 1}{"user": 2}',
        b'{"shop": "\xff"}',
        b"[" * 999,
    ],
}


@pytest.mark.parametrize("form", ["avro", "json"])
@pytest.mark.parametrize("positions", [{0}, {3}, {6}, {0, 1}, {5, 6}, {2, 4}, {0, 1, 2, 3, 4, 5, 6}])
def test_poison_in_any_position_of_a_range_is_dead_and_harms_no_neighbour(form, positions):
    plan = purchases_plan(late_tiles=1, max_future_ms=100)
    source = plan.sources[0].model_copy(update={"format": form})
    fields = {"user": 1, "shop": "a", "amount": 1.0, "items": 1, "note": ""}
    for poison in POISON[form]:
        records = []
        for n in range(7):
            event = {**fields, "event_ms": 10 + n}
            sound = json.dumps(event).encode() if form == "json" else encode_confluent(EVENT_SCHEMA, 7, event)
            records.append(LogRecord(n, 10 + n, b"k", poison if n in positions else sound))
        one = Intake(source, plan.stream_views, 3)
        taken = one.take(LogRecords.of(records))
        assert [dead_letter.offset for dead_letter in taken.rejected] == sorted(positions)
        assert {dead_letter.kind for dead_letter in taken.rejected} == {"malformed"}
        kept = [n for n in range(7) if n not in positions]
        assert taken.batch.offset.tolist() == kept
        assert taken.batch.event_ms.tolist() == [10 + n for n in kept]
        assert taken.batch.columns["shop"].values.tolist() == [b"a"] * len(kept)
        assert one.counts.as_dict() == {"applied": len(kept), "late": 0, "dead": len(positions), "marks": 0}


def test_a_mark_among_json_events_is_a_mark():
    plan = purchases_plan(late_tiles=1, max_future_ms=100)
    one = Intake(plan.sources[0].model_copy(update={"format": "json"}), plan.stream_views, 3)
    taken = one.take(
        LogRecords.of([LogRecord(0, 500, None, None, mark_headers(500)), LogRecord(1, 500, None, None)])
    )
    assert one.clock_ms == 500
    assert kinds(taken) == {1: "malformed"}


def test_a_schema_that_is_named_in_a_header_is_named_in_the_letter():
    headers = [("__value_schema_id", b"\x01" + bytes(range(16)))]
    (letter,) = intake().take(LogRecords.of([LogRecord(0, 10, None, b"\x02avro", headers)])).rejected
    assert "by the GUID 00010203-0405-0607-0809-0a0b0c0d0e0f" in letter.reason
    assert "PrefixSchemaIdSerializer" in letter.reason


@pytest.mark.parametrize("time_ms", [2**63 - 1, -(2**63), 10**15])
def test_a_time_that_no_store_holds_is_dead_and_its_neighbours_are_applied(time_ms):
    one = intake()
    taken = one.take(LogRecords.of([record(0, 10), record(1, time_ms), record(2, 10)]))
    assert taken.batch.offset.tolist() == [0, 2]
    assert kinds(taken) == {1: "invalid"}
    assert one.clock_ms == 10


def test_a_record_that_judging_fails_on_is_a_dead_letter_alone():
    def record_of(source):
        if source.offset == 1 and not failed:
            failed.append(source.offset)
        elif source.offset == 1 and len(failed) < 4:
            failed.append(source.offset)
            raise SystemError("no such header")
        return source

    failed: list[int] = []
    records = [record(0, 10), LogRecord(1, 10, None, None), record(2, 10)]
    of = LogRecords.of(records)
    one = intake()
    taken = one.take(LogRecords(of.offsets, of.appended, of.values, records, record_of))
    assert taken.batch.offset.tolist() == [0, 2]
    assert (one.counts.applied, one.counts.dead) == (2, 1)
    assert [letter.offset for letter in taken.rejected] == [1]


class Exits:
    """A udf that ends the process on five items."""

    def __init__(self, udf: Transform) -> None:
        self._udf, self.name = udf, udf.name

    def apply(self, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        if (columns["items"].values == 5).any():
            raise SystemExit("five items")
        return self._udf.apply(offsets, columns)


def test_a_udf_that_would_end_the_process_costs_the_record_it_ran_on():
    plan = udf_plan()
    udfs = {name: Exits(udf) for name, udf in transforms(plan).items()}
    taken = Intake(plan.sources[0], plan.stream_views, 3, udfs).take(
        LogRecords.of([record(n, 10, items=items) for n, items in enumerate((1, 5, 1))])
    )
    assert taken.batch.offset.tolist() == [0, 2]
    assert kinds(taken) == {1: "udf"}
    assert "SystemExit: five items" in taken.rejected[0].reason
