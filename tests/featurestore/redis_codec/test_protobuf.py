"""Varints, fields of messages and timestamps are read and written as protobuf's own library does."""

from __future__ import annotations

from contextlib import suppress

import pytest
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.internal.encoder import _VarintBytes
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.protobuf import decode_varint, encode_varint, message_fields

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, st.binary(max_size=3), st.binary(max_size=3))
@example(-(2**63), b"", b"")
def test_varints_are_protobufs_and_are_read_back(value: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(value)
    assert encoded == _VarintBytes(value % 2**64)
    assert decode_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


def test_a_varint_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(IndexError):
        decode_varint(b"\xac", 0)


def test_fields_have_their_numbers_and_contents() -> None:
    message = Value(int64_val=300).SerializeToString() + Value(string_val="UA").SerializeToString()
    message += Value(double_val=0.0).SerializeToString() + Value(float_val=0.0).SerializeToString()
    assert list(message_fields(message)) == [(4, 300), (2, b"UA"), (5, bytes(8)), (6, bytes(4))]


@given(st.binary(max_size=20))
def test_bytes_that_are_no_message_are_an_error_or_fields(raw: bytes) -> None:
    with suppress(ValueError, LookupError):
        assert all(number >= 0 for number, _ in message_fields(raw))
