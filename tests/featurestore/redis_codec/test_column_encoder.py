"""Rows become HSET commands on the keys that Feast's own code makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from feast.infra.online_stores.helpers import _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.online.entity_keys import encode_join_key
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.byte_columns import split_rows
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder, encode_keys
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from tests.support.feature_values import (
    INT32,
    INT64,
    SECONDS,
    TEXT,
    column,
)

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
    assert split_rows(encode_keys(project, specs, columns), len(entities)) == feasts
    view = BatchViewSpec(name="v", join_keys=tuple(specs), features=(FieldSpec(name="f", dtype="Int64"),))
    nothing = (np.zeros(len(entities), np.int64), np.ones(len(entities), np.bool_))
    command = ViewEncoder(project, view).commands(columns, [nothing], np.zeros(len(entities), np.int64), None)
    assert all(b"$%d\r\n%b\r\n" % (len(key), key) in command for key in feasts)
    encoded = (encode_join_key(spec, values) for spec, values in zip(specs, parts, strict=True))
    prefix = layout.key_prefix([spec.name for spec in specs])
    assert [prefix + b"".join(parts) + project.encode() for parts in zip(*encoded, strict=True)] == feasts


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
    field = layout.feature_field("v", "f")
    assert text == b"".join(
        b"*6\r\n$4\r\nHSET\r\n$%d\r\n%s\r\n$4\r\n%s\r\n$%d\r\n%s\r\n$5\r\n_ts:v\r\n$2\r\n\x08\x01\r\n"
        % (22 + len(name), key % (len(name), name), field, len(value), value)
        for name, value in [(b"ab", b"\x20\xac\x02"), (b"c" * 200, b"")]
    )
