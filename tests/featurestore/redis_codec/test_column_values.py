"""Columns are encoded as the bytes that Feast's own code writes, value by value, and are read back."""

from __future__ import annotations

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.byte_columns import split_rows
from headrace.featurestore.redis_codec.column_values import encode_timestamps, encode_values
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.featurestore.redis_codec.protobuf import decode_timestamp_ms, encode_timestamp
from headrace.schemas.feature_types import ValueType
from tests.support.feature_values import TYPES, column, in_order, proto, shown, values_of
from tests.support.properties import tries


@pytest.mark.parametrize("dtype", TYPES)
@tries(60)
@given(data=st.data())
def test_values_are_feasts_bytes_and_are_read_back(dtype: ValueType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | values_of(dtype), min_size=1, max_size=30))
    valid = np.array([value is not None for value in values])
    encoded = split_rows(encode_values(dtype, column(dtype, values), valid), len(values))
    feasts = [proto(dtype, value) for value in values]
    written = [value.SerializeToString() for value in feasts]
    assert [in_order(dtype, raw) for raw in encoded] == [in_order(dtype, raw) for raw in written]
    read = decode_values(encoded)
    assert list(map(shown, read)) == [shown(feast_value_type_to_python_type(value)) for value in feasts]


@pytest.mark.parametrize("bits", range(0, 64, 7))
def test_integers_at_the_edges_of_varint_lengths_are_feasts_bytes(bits: int) -> None:
    values = [(1 << bits) - 1, 1 << bits if bits < 63 else 0, -(1 << bits)]
    encoded = split_rows(encode_values("Int64", np.array(values, np.int64), np.ones(3, np.bool_)), 3)
    assert encoded == [Value(int64_val=value).SerializeToString() for value in values]


@given(st.lists(st.integers(-(2**54), 2**54), min_size=1, max_size=20))
@example([0, 1, -1, 999_999, 1_000_000, -1_000_000, 1_700_000_000_123_456])
def test_timestamps_are_feasts_bytes(times_us: list[int]) -> None:
    encoded = split_rows([encode_timestamps(np.array(times_us))], len(times_us))
    for time_us, text in zip(times_us, encoded, strict=True):
        seconds, micros = divmod(time_us, 1_000_000)
        assert text == Timestamp(seconds=seconds, nanos=micros * 1000).SerializeToString()
        assert text == encode_timestamp(time_us)
        assert decode_timestamp_ms(text) == time_us // 1000
