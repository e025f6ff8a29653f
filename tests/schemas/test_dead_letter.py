"""A dead letter holds its record byte for byte."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.dead_letter import DeadLetter
from headrace.streams.log.records import LogRecord

raw = st.none() | st.binary(max_size=40)
records = st.builds(
    LogRecord,
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**62),
    key=raw,
    value=raw,
    headers=st.lists(st.tuples(st.text(max_size=9), raw), max_size=3),
)


@given(records, st.sampled_from(["malformed", "invalid", "udf", "future", "late", "orphan"]))
def test_the_record_comes_out_of_its_bytes_as_it_went_in(record: LogRecord, kind: str) -> None:
    written = DeadLetter.of_record("clicks", 3, record, kind, "because").to_bytes()
    found = DeadLetter.model_validate_json(written)
    assert (found.topic, found.partition, found.kind, found.reason) == ("clicks", 3, kind, "because")
    assert (found.offset, found.timestamp_ms) == (record.offset, record.timestamp)
    assert (found.original_key, found.original_value) == (record.key, record.value)
    assert found.original_headers == list(record.headers)


LARGE = b"x" * 7_000_000


@pytest.mark.parametrize(
    ("key", "value", "headers", "omitted"),
    [
        (b"k", LARGE, [("h", b"v")], ["value"]),
        (LARGE, LARGE, [], ["value", "key"]),
        (b"k", b"v", [("h", LARGE)], ["headers"]),
        (LARGE, LARGE, [("h", LARGE)], ["headers", "value", "key"]),
        (b"k", b"v" * 5_000_000, [], []),
        (b"k", b"v", [("", None)] * 1_000_000, ["headers"]),
        (b"k", b"v", [("\x01" * 1_500_000, b"")], ["headers"]),
        (b"k", b"v" * 3_000_000, [("\x01" * 500_000, b"")] + [("é", b"1")] * 20_000, []),
        (b"k", b"v", [("h", b"")] * 300_000, []),
    ],
)
def test_a_letter_fits_into_its_topic_and_says_what_it_leaves_out(
    key: bytes, value: bytes, headers: list[tuple[str, bytes]], omitted: list[str]
) -> None:
    record = LogRecord(7, 1_000, key, value, headers)
    letter = DeadLetter.of_record("t", 0, record, "late", "\x00" * 100_000)
    raw = letter.to_bytes()
    assert len(raw) < 8 << 20
    assert DeadLetter.model_validate_json(raw) == letter
    assert [one.partition(":")[0] for one in letter.omitted] == omitted
    digest = hashlib.sha256(LARGE).hexdigest()
    assert all("7000000 bytes" in one or one.startswith("headers") for one in letter.omitted)
    assert [digest in one for one in letter.omitted] == [not one.startswith("h") for one in letter.omitted]
