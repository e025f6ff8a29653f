"""The vectorised encoder writes the bytes that Feast's own code writes, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import mmh3
import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.featurestore.online.entity_keys import encoded_keys
from headrace.featurestore.redis_codec import layout as redis_layout
from headrace.featurestore.redis_codec.byte_columns import Ragged, join
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder, encode_keys
from headrace.featurestore.redis_codec.column_values import encode_timestamps, encode_values
from headrace.featurestore.redis_codec.decoder import decode_time_ms, decode_values
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.feature_types import ValueType
from tests.support.feature_values import (
    INT32,
    INT64,
    SECONDS,
    TEXT,
    TYPES,
    column,
    in_order,
    proto,
    shown,
    values_of,
)


def rows(columns: Sequence[Ragged] | Ragged, count: int) -> list[bytes]:
    """The strings of the columns, row by row."""
    parts = [columns] if isinstance(columns, Ragged) else columns
    lengths = sum((np.broadcast_to(part.lengths, count) for part in parts), np.zeros(count, np.int64))
    flat, ends = join(parts, count), np.cumsum(lengths)
    return [flat[end - length : end] for end, length in zip(ends, lengths, strict=True)]


@pytest.mark.parametrize("dtype", TYPES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_values_are_feasts_bytes_and_are_read_back(dtype: ValueType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | values_of(dtype), min_size=1, max_size=30))
    valid = np.array([value is not None for value in values])
    found = rows(encode_values(dtype, column(dtype, values), valid), len(values))
    feasts = [proto(dtype, value) for value in values]
    written = [value.SerializeToString() for value in feasts]
    assert [in_order(dtype, raw) for raw in found] == [in_order(dtype, raw) for raw in written]
    read = decode_values(found)
    assert list(map(shown, read)) == [shown(feast_value_type_to_python_type(value)) for value in feasts]


@pytest.mark.parametrize("dtype", TYPES)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_bytes_that_are_cut_off_are_an_error_or_a_value(dtype: ValueType, data: st.DataObject) -> None:
    raw = proto(dtype, data.draw(values_of(dtype))).SerializeToString()
    short = raw[: data.draw(st.integers(1, max(1, len(raw) - 1)))]
    with suppress(HeadraceError):
        decode_values([short])


@pytest.mark.parametrize("bits", range(0, 64, 7))
def test_integers_at_the_edges_of_varint_lengths_are_feasts_bytes(bits: int) -> None:
    values = [(1 << bits) - 1, 1 << bits if bits < 63 else 0, -(1 << bits)]
    found = rows(encode_values("Int64", np.array(values, np.int64), np.ones(3, np.bool_)), 3)
    assert found == [Value(int64_val=value).SerializeToString() for value in values]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**54), 2**54), min_size=1, max_size=20))
@example([0, 1, -1, 999_999, 1_000_000, -1_000_000, 1_700_000_000_123_456])
def test_timestamps_are_feasts_bytes(times_us: list[int]) -> None:
    found = rows(encode_timestamps(np.array(times_us)), len(times_us))
    for time_us, text in zip(times_us, found, strict=True):
        seconds, micros = divmod(time_us, 1_000_000)
        assert text == Timestamp(seconds=seconds, nanos=micros * 1000).SerializeToString()
        assert decode_time_ms(text) == time_us // 1000


# Join keys of every type that Feast has for them: the field of its protobuf, and what is in it.
KEYS: list[tuple[FieldSpec, str, st.SearchStrategy[Any]]] = [
    (FieldSpec(name="a_number", dtype="Int64"), "int64_val", INT64),
    (FieldSpec(name="b_text", dtype="String"), "string_val", TEXT),
    (FieldSpec(name="c_moment", dtype="UnixTimestamp"), "unix_timestamp_val", SECONDS),
    (FieldSpec(name="d_token", dtype="Bytes"), "bytes_val", st.binary(max_size=40)),
    (FieldSpec(name="e_page", dtype="PdfBytes"), "bytes_val", st.binary(max_size=40)),
    (FieldSpec(name="f_image", dtype="ImageBytes"), "bytes_val", st.binary(max_size=40)),
    (FieldSpec(name="ç_small", dtype="Int32"), "int32_val", INT32),
]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(KEYS), min_size=1, unique_by=lambda key: key[0].name),
    st.text("abcdé_", min_size=1),
    st.data(),
)
def test_composite_keys_are_feasts_bytes(
    keys: list[tuple[FieldSpec, str, st.SearchStrategy[Any]]], project: str, data: st.DataObject
) -> None:
    entities = data.draw(st.lists(st.tuples(*(values for _, _, values in keys)), min_size=1, max_size=60))
    feasts = [
        _redis_key(
            project,
            EntityKey(
                join_keys=[spec.name for spec, _, _ in keys],  # which Feast sorts itself
                entity_values=[
                    Value(**{field: part}) for (_, field, _), part in zip(keys, entity, strict=True)
                ],
            ),
        )
        for entity in entities
    ]
    order = sorted(range(len(keys)), key=lambda at: keys[at][0].name)
    specs = [keys[at][0] for at in order]
    parts = [[entity[at] for entity in entities] for at in order]
    columns = [column(spec.dtype, values) for spec, values in zip(specs, parts, strict=True)]
    assert rows(encode_keys(project, specs, columns), len(entities)) == feasts
    view = BatchViewSpec(name="v", join_keys=tuple(specs), features=(FieldSpec(name="f", dtype="Int64"),))
    nothing = (np.zeros(len(entities), np.int64), np.ones(len(entities), np.bool_))
    command = ViewEncoder(project, view).commands(columns, [nothing], np.zeros(len(entities), np.int64), None)
    assert all(b"$%d\r\n%b\r\n" % (len(key), key) in command for key in feasts)
    asked = zip(*(encoded_keys(spec, values) for spec, values in zip(specs, parts, strict=True)), strict=True)
    prefix = redis_layout.key_prefix([spec.name for spec in specs])
    assert [prefix + b"".join(parts) + project.encode() for parts in asked] == feasts


def test_text_of_fixed_width_is_read_without_its_padding() -> None:
    texts = np.array([b"UA", b"", b"\xc3\xa9-long", b"x"])
    assert rows(Ragged.of_array(texts), 4) == list(texts)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_murmur_is_mmh3(data: bytes) -> None:
    assert redis_layout.murmur3_32(data) == mmh3.hash(data, signed=False)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_feature_fields_are_feasts(view: str, feature: str) -> None:
    assert redis_layout.feature_field(view, feature) == _mmh3(f"{view}:{feature}")


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3, unique=True))
def test_key_prefix_is_feasts(names: list[str]) -> None:
    assert redis_layout.key_prefix(sorted(names)) == serialize_entity_key_prefix(names)


def test_commands_are_in_the_redis_protocol() -> None:
    view = BatchViewSpec(
        name="v",
        join_keys=(FieldSpec(name="k", dtype="String"),),
        features=(FieldSpec(name="f", dtype="Int64"),),
    )
    encoder = ViewEncoder("p", view)
    valid = np.array([True, False])
    column = (np.array([300, 0]), valid)
    text = encoder.commands([[b"ab", b"c" * 200]], [column], np.array([1_000_000]), None)
    key = b"\x01\0\0\0\x02\0\0\0\x01\0\0\0k\x02\0\0\0%c\0\0\0%sp"
    field = redis_layout.feature_field("v", "f")
    assert text == b"".join(
        b"*6\r\n$4\r\nHSET\r\n$%d\r\n%s\r\n$4\r\n%s\r\n$%d\r\n%s\r\n$5\r\n_ts:v\r\n$2\r\n\x08\x01\r\n"
        % (22 + len(name), key % (len(name), name), field, len(value), value)
        for name, value in [(b"ab", b"\x20\xac\x02"), (b"c" * 200, b"")]
    )


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_few_rows_have_the_bytes_of_many(data: st.DataObject) -> None:
    """Rows are encoded one by one where there are few, else by the column."""
    features = tuple(FieldSpec(name=f"f%{dtype}", dtype=dtype) for dtype in [*TYPES, "Int64", "Float64"])
    keys = (FieldSpec(name="i", dtype="Int32"), FieldSpec(name="n", dtype="Int64"))
    view = BatchViewSpec(name="v", join_keys=(*keys, FieldSpec(name="t", dtype="String")), features=features)
    encoder, count = ViewEncoder("p%", view), data.draw(st.integers(1, 5))
    values = [
        data.draw(st.lists(st.none() | values_of(f.dtype), min_size=count, max_size=count)) for f in features
    ]
    drawn = [data.draw(st.lists(of, min_size=count, max_size=count)) for of in (INT32, INT64, TEXT)]
    times = data.draw(st.lists(st.integers(-(2**54), 2**54), min_size=count, max_size=count))
    provenance = data.draw(st.none() | st.just((1, 2, 3)))

    def commands(times_of: int) -> bytes:
        """Of the rows so many times over."""
        columns = [
            (column(f.dtype, of * times_of), np.array([v is not None for v in of] * times_of))
            for f, of in zip(features, values, strict=True)
        ]
        entities = [np.array(of * times_of) for of in drawn[:2]]
        texts = [text.encode() for text in drawn[2]] * times_of
        return encoder.commands([*entities, texts], columns, np.array(times * times_of), provenance)

    assert commands(1) * 100 == commands(100)
