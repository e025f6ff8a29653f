"""A dead letter holds its record byte for byte."""

from __future__ import annotations

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
