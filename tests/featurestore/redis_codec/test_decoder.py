"""Stored bytes become values, or an error that shows them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.decoder import decode_event_time, decode_provenance, decode_values
from headrace.featurestore.redis_codec.protobuf import encode_timestamp
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_types import ValueType
from tests.support.feature_values import TYPES, proto, values_of
from tests.support.properties import tries


@pytest.mark.parametrize("dtype", TYPES)
@tries(20)
@given(data=st.data())
def test_bytes_that_are_cut_off_are_an_error_or_a_value(dtype: ValueType, data: st.DataObject) -> None:
    raw = proto(dtype, data.draw(values_of(dtype))).SerializeToString()
    short = raw[: data.draw(st.integers(1, max(1, len(raw) - 1)))]
    with suppress(HeadraceError):
        decode_values([short])


def test_a_value_that_cannot_be_read_is_shown() -> None:
    readable, not_of_feast = b"\x12\x02UA", b"\xff\x07 and more than twelve bytes"
    with pytest.raises(HeadraceError) as caught:
        decode_values([readable, None, not_of_feast])
    assert str(not_of_feast[:12]) in str(caught.value)


def test_a_row_without_provenance_has_none() -> None:
    assert decode_provenance(None) is None


@given(st.binary(max_size=40))
def test_times_and_provenance_of_any_bytes_are_values_or_refused(raw: bytes) -> None:
    for decode in (decode_event_time, decode_provenance):
        with suppress(HeadraceError):
            decode(raw)


@given(st.integers(-(2**62), 2**62))
def test_an_event_time_is_one_that_readers_can_hold(seconds: int) -> None:
    try:
        time_ms = decode_event_time(encode_timestamp(seconds * 1_000_000))
    except HeadraceError:
        assert not -62_135_596_800 <= seconds <= 253_402_300_799
    else:
        assert datetime.fromtimestamp(time_ms // 1000, UTC).timestamp() == seconds


def test_json_that_is_nested_too_deeply_is_read_as_the_text_it_is() -> None:
    texts = ["[" * depth + "]" * depth for depth in (256, 257, 100_000)]
    found = decode_values([proto("Json", text).SerializeToString() for text in texts])
    assert [type(value) for value in found] == [list, str, str]
