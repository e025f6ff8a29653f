"""What a producer may send, and what it is told otherwise: before anything goes to Kafka."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import AvroDecoder, schema_fingerprint
from headrace.schemas.avro.columns import Decoded
from headrace.schemas.errors import RecordError, SchemaError
from headrace.schemas.json_events.decoder import JsonDecoder
from headrace.streams.producers.event_encoder import EventEncoder
from headrace.streams.producers.event_format import EventFormat
from tests.support.paths import ROOT
from tests.support.purchases import purchases_plan

SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Click",
        "namespace": "shop",
        "fields": [
            {"name": "user", "type": ["null", "string"]},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "price", "type": "double", "default": 9.5},
            {"name": "items", "type": ["null", "int"], "default": None},
            {"name": "paid", "type": "boolean"},
            {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
        ],
    }
)
CLICK = {
    "user": "ada", "at": 1000, "price": 1.5, "items": 2, "paid": True, "colour": "red", "tags": ["new"],
}  # fmt: skip
CLICKS = EventFormat("clicks", SCHEMA, "user", "at")


def click(**changed: Any) -> dict[str, Any]:
    return CLICK | changed


def test_an_event_comes_back_as_it_was():
    record = EventEncoder(CLICKS).encode(CLICK)
    decoder = AvroDecoder(
        SCHEMA, {schema_fingerprint(SCHEMA): SCHEMA}, ["user", "at", "price", "items", "paid"]
    )
    columns = decoder.decode([record.value]).columns
    assert [columns[name].values[0] for name in columns] == [b"ada", 1000, 1.5, 2, True]
    assert (record.key, record.timestamp_ms) == (b"ada", 1000)


def test_fields_with_defaults_may_be_left_out():
    short = {name: value for name, value in CLICK.items() if name not in ("price", "items")}
    whole = EventEncoder(CLICKS).encode(click(price=9.5, items=None))
    assert EventEncoder(CLICKS).encode(short) == whole


def test_whatever_holds_the_same_value_will_do():
    moment = datetime(2024, 2, 29, 12, 30, 0, 1000, tzinfo=UTC)
    record = EventEncoder(CLICKS).encode(click(at=moment, items=np.int64(3), price=2))
    assert record.timestamp_ms == int(moment.timestamp() * 1000)
    assert record == EventEncoder(CLICKS).encode(click(at=record.timestamp_ms, items=3, price=2.0))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"price": "dear"}, "field 'price': 'dear' (str) does not fit double"),
        ({"items": 2.5}, "field 'items': 2.5 (float) does not fit null or int"),
        ({"items": 1 << 40}, "field 'items': 1099511627776"),
        ({"items": True}, "field 'items': True (bool) does not fit null or int"),
        ({"at": 3.7}, "field 'at': 3.7 (float) does not fit timestamp-millis"),
        ({"at": 1 << 70}, "1180591620717411303424"),
        ({"at": 0}, "field 'at': 0 ms is not after 1970"),
        ({"at": datetime(2024, 1, 1)}, "field 'at': 2024-01-01 00:00:00 has no time zone"),
        ({"paid": "no"}, "field 'paid': 'no' (str) does not fit boolean"),
        ({"colour": "green"}, "field 'colour': 'green' (str) does not fit one of red, blue"),
        ({"tags": ["a", 1]}, "field 'tags': 1 (int) does not fit string"),
        ({"user": "x" * 1000}, "are more than the 900 of message.max.bytes"),
        ({"usr": "ada"}, "field 'usr' is not in the schema; did you mean 'user'?"),
    ],
)
def test_what_does_not_fit_is_refused_by_topic_field_and_value(changed, says):
    encoder = EventEncoder(CLICKS, max_bytes=900)
    with pytest.raises(RecordError) as told:
        encoder.encode(click(**changed))
    assert str(told.value).startswith("topic 'clicks': ")
    assert says in str(told.value)
    with pytest.raises(
        RecordError, match=r"topic 'clicks', event 2 of the batch: .*nothing of the batch was sent"
    ):
        encoder.encode_batch([CLICK, CLICK, click(**changed), CLICK])


def test_a_field_that_is_missing_is_named():
    with pytest.raises(RecordError, match="field 'paid' is missing and has no default"):
        EventEncoder(CLICKS).encode({name: value for name, value in CLICK.items() if name != "paid"})


def test_an_event_without_a_time_is_refused():
    source = purchases_plan().sources[0]
    event = {"user": 1, "shop": "a", "event_ms": None, "amount": 1.0, "items": 1, "note": ""}
    with pytest.raises(RecordError, match="field 'event_ms': None is no event time"):
        EventEncoder(EventFormat.of_source(source)).encode(event)


def test_a_clock_that_runs_ahead_is_found_out():
    source = purchases_plan(max_future_ms=1000).sources[0]
    event = {"user": 1, "shop": "a", "amount": 1.0, "items": 1, "note": ""}
    encoder = EventEncoder(EventFormat.of_source(source))
    now_ms = time.time_ns() // 1_000_000
    encoder.encode(event | {"event_ms": now_ms})
    with pytest.raises(RecordError, match="more than 1000 ms ahead of this machine's clock"):
        encoder.encode(event | {"event_ms": now_ms + 60_000})


def test_microseconds_become_the_milliseconds_of_kafka():
    encoder = EventEncoder(EventFormat("clicks", SCHEMA, None, "at", "us"))
    assert encoder.encode(click(at=1_234_567)).timestamp_ms == 1234


def test_a_key_is_its_text_unless_told_otherwise():
    source = purchases_plan().sources[0]
    event = {"user": 17, "shop": "a", "event_ms": 1, "amount": 1.0, "items": 1, "note": ""}
    assert EventEncoder(EventFormat.of_source(source)).encode(event).key == b"17"
    as_java_long = EventEncoder(
        EventFormat.of_source(source), lambda user: user.to_bytes(8, "big", signed=True)
    )
    assert as_java_long.encode(event).key == bytes(7) + b"\x11"
    assert EventEncoder(CLICKS).encode(click(user=None)).key is None


def test_a_key_or_time_field_must_be_in_the_schema():
    with pytest.raises(
        SchemaError, match="topic 'clicks': field 'usr' is not in the schema; its fields: user"
    ):
        EventEncoder(EventFormat("clicks", SCHEMA, "usr"))


values: Mapping[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "double": st.floats(),
    "string": st.text(),
    "bytes": st.binary(),
}


@given(st.data(), st.sampled_from(sorted(values)), st.sampled_from(sorted(values)))
def test_a_value_is_taken_exactly_when_its_type_is_declared(data, declared, given_type):
    """The oracle is Avro's list of primitive types; whole numbers fit wider ones."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": declared}]}
    encoder = EventEncoder(EventFormat("t", json.dumps(schema)))
    value = data.draw(values[given_type])
    wide = {"int": {"int", "long"}, "long": {"int", "long"}, "double": {"double", "int", "long"}}
    fits = given_type in wide.get(declared, {declared})
    if declared == "int" and given_type == "long":
        fits = -(1 << 31) <= value < 1 << 31
    if fits:
        encoder.encode({"x": value})
    else:
        with pytest.raises(RecordError, match="field 'x'"):
            encoder.encode({"x": value})


@pytest.mark.parametrize("module", ["event_producer", "async_event_producer"])
def test_the_producers_import_no_heavy_package(module):
    program = (
        f"import sys, headrace.streams.{module}; "
        "heavy = {'feast', 'faust', 'pandas', 'pyarrow', 'river', 'scipy', 'redis'};"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


READABLE = ["user", "at", "price", "items", "paid", "colour"]
# A column cannot hold a text that ends in NUL; readers of both formats refuse it (the next test).
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: text.rstrip("\0"))


def decoded(event: dict[str, object]) -> tuple[Decoded, Decoded]:
    """An event as its readers have it, sent as Avro and as JSON."""
    formats = [EventFormat("clicks", SCHEMA, "user", "at", format=name) for name in ("avro", "json")]
    avro, text = (EventEncoder(one).encode(event) for one in formats)
    assert (avro.key, avro.timestamp_ms) == (text.key, text.timestamp_ms)
    return (
        AvroDecoder(SCHEMA, {schema_fingerprint(SCHEMA): SCHEMA}, READABLE).decode([avro.value]),
        JsonDecoder(SCHEMA, READABLE).decode([text.value]),
    )


@given(
    event=st.fixed_dictionaries(
        {
            "user": st.none() | TEXTS,
            "at": st.integers(1, 2**40) | st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC)),
            "price": st.floats(allow_nan=False, allow_infinity=False),
            "items": st.none() | st.integers(-(2**31), 2**31 - 1),
            "paid": st.booleans(),
            "colour": st.sampled_from(["red", "blue"]),
            "tags": st.just([]),
        }
    )
)
def test_json_events_are_read_as_the_same_columns_as_avro(event):
    if isinstance(event["at"], datetime):
        event["at"] = event["at"].replace(microsecond=event["at"].microsecond // 1000 * 1000)
    expected, found = decoded(event)
    assert not expected.errors
    assert not found.errors
    for name in READABLE:
        one, other = expected.columns[name], found.columns[name]
        assert (one.values[0], one.valid[0]) == (other.values[0], other.valid[0])


def test_a_text_that_ends_in_nul_is_refused_by_the_readers_of_both_formats():
    for read in decoded(click(user="ada\0")):
        assert read.errors.keys() == {0}
        assert "field 'user'" in read.errors[0]
        assert "ends in a NUL" in read.errors[0]


def test_what_json_has_no_form_for_is_refused():
    with pytest.raises(RecordError, match=r"'clicks'.*cannot be written as JSON.*nothing was sent"):
        EventEncoder(EventFormat("clicks", SCHEMA, "user", "at", format="json")).encode(
            click(price=float("nan"))
        )
