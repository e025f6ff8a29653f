r"""Names and constants of Feast's Redis layout: Feast 0.60 to 0.67, keys of entities in versions 2 and 3.

An entity is one hash. Its key is the number of join keys, their names and their values, each with a type
and a length (little-endian u32), and then the bytes of the project's name. A feature is the hash field
``murmur3_32("{view}:{feature}")`` with the bytes of a `ValueProto`; ``_ts:{view}`` holds a protobuf
`Timestamp`. Headrace adds ``_headrace:{view}``, the provenance of a row: the log prefix that it follows from.
Feast never reads it.

>>> timestamp_field("carrier_delays"), feature_field("carrier_delays", "mean_1h").hex()
(b'_ts:carrier_delays', 'dcead73b')
>>> key_prefix(["carrier"])
b'\x01\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00carrier'
>>> key_prefix([])
b'\x01\x00\x00\x00\x02\x00\x00\x00\n\x00\x00\x00__dummy_id\x02\x00\x00\x00\x00\x00\x00\x00'
>>> key_prefix(["carrier"], version=2)
b'\x02\x00\x00\x00carrier'
>>> value_tag("Float64") + struct.pack("<d", 12.5)
b')\x00\x00\x00\x00\x00\x00)@'

References
----------
feast/infra/key_encoding_utils.py, feast/infra/online_stores/redis.py, feast/protos/feast/types/Value.proto
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, Literal

from headrace.schemas.feature_types import ValueType, element_type, outer_type

# Field numbers of ValueProto by outer type. Entity keys number the types of join keys alike.
FIELD_NUMBERS: Final[dict[str, int]] = {
    "Bytes": 1,
    "PdfBytes": 1,
    "ImageBytes": 1,
    "String": 2,
    "Int32": 3,
    "Int64": 4,
    "Float64": 5,
    "Float32": 6,
    "Bool": 7,
    "UnixTimestamp": 8,
    "Array(Bytes)": 11,
    "Array(String)": 12,
    "Array(Int32)": 13,
    "Array(Int64)": 14,
    "Array(Float64)": 15,
    "Array(Float32)": 16,
    "Array(Bool)": 17,
    "Array(UnixTimestamp)": 18,
    "Set(Bytes)": 22,
    "Set(String)": 23,
    "Set(Int32)": 24,
    "Set(Int64)": 25,
    "Set(Float64)": 26,
    "Set(Float32)": 27,
    "Set(Bool)": 28,
    "Set(UnixTimestamp)": 29,
    "Json": 32,
    "Array(Json)": 33,
    "Uuid": 36,
    "TimeUuid": 37,
    "Array(Uuid)": 38,
    "Array(TimeUuid)": 39,
    "Set(Uuid)": 40,
    "Set(TimeUuid)": 41,
    "Decimal": 44,
    "Array(Decimal)": 45,
    "Set(Decimal)": 46,
    "Map": 20,
    "Array(Map)": 21,
    "Struct": 34,
    "Array(Struct)": 35,
    "Array(Array)": 42,
    "Set(Array)": 43,
    "ScalarMap": 47,
    "ZonedTimestamp": 48,
}
Wire = Literal["text", "double", "float", "bool", "integer", "seconds"]
# How a value is written into its ValueProto. Every other type is bytes behind their length: text, a message.
_WIRES: Final[dict[str, Wire]] = {
    "Int32": "integer",
    "Int64": "integer",
    "Float64": "double",
    "Float32": "float",
    "Bool": "bool",
    "UnixTimestamp": "seconds",
}
_WIRE_TYPES: Final[dict[Wire, int]] = {"text": 2, "double": 1, "float": 5}  # of protobuf; 0, varint, else
NULL_SECONDS: Final = -(2**63)  # what Feast writes for a missing time
ELEMENT_TAG: Final = b"\x0a"  # of each element of a list or set, and of each entry of a map: field 1, bytes
_NO_JOIN_KEY: Final = "__dummy_id"  # name of the join key of a view without entities
PROVENANCE: Final = struct.Struct("<iqq8s")  # partition, offset, as_of_ms, state
PROVENANCE_VERSION: Final = 2
PREFIX: Final = struct.Struct("<iqq")  # what is read of it, and all that version 1 had


def wire_of(dtype: ValueType) -> Wire:
    """How values of a type, or the elements of a list or set, are written."""
    return _WIRES.get(element_type(dtype) or dtype, "text")


def value_tag(dtype: ValueType) -> bytes:
    """The protobuf tag that begins a `ValueProto` with a value of this type: one byte or two."""
    wire_type = 2 if element_type(dtype) else _WIRE_TYPES.get(wire_of(dtype), 0)
    tag = FIELD_NUMBERS[outer_type(dtype)] << 3 | wire_type
    return bytes([tag]) if tag < 0x80 else bytes([tag & 0x7F | 0x80, tag >> 7])


def feature_field(view: str, feature: str) -> bytes:
    """The hash field of a feature, 4 bytes."""
    return struct.pack("<I", murmur3_32(f"{view}:{feature}".encode()))


def timestamp_field(view: str) -> bytes:
    """The hash field of a view's event time."""
    return f"_ts:{view}".encode()


def provenance_field(view: str) -> bytes:
    """The hash field of the provenance of a view's row, packed as `PROVENANCE`."""
    return f"_headrace:{view}".encode()


def key_prefix(join_keys: Sequence[str], version: int = 3) -> bytes:
    """The bytes of an entity key before its values; `join_keys` are sorted by name.

    Without join keys these are all of it: Feast has one entity then, with an empty text for its key.
    `version` is Feast's ``entity_key_serialization_version``: 2 has neither the number of the join keys nor
    the lengths of their names.
    """
    names = [name.encode() for name in join_keys or [_NO_JOIN_KEY]]
    kind, is_long = FIELD_NUMBERS["String"], version > 2
    value = b"" if join_keys else struct.pack("<II", kind, 0)
    parts = [struct.pack("<II", kind, len(n)) if is_long else struct.pack("<I", kind) for n in names]
    head = struct.pack("<I", len(names)) if is_long else b""
    return head + b"".join(part + name for part, name in zip(parts, names, strict=True)) + value


def murmur3_32(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0, unsigned (Appleby, https://github.com/aappleby/smhasher)."""
    mask, state = 0xFFFFFFFF, 0
    whole = len(data) // 4 * 4
    for (block,) in struct.iter_unpack("<I", data[:whole]):
        state ^= _scramble(block)
        # The rotation leaves bits above the word, which the mask takes off.
        state = ((state << 13 | state >> 19) * 5 + 0xE6546B64) & mask
    state ^= _scramble(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & mask
    state = (state ^ state >> 13) * 0xC2B2AE35 & mask
    return state ^ state >> 16


def _scramble(block: int) -> int:
    block = block * 0xCC9E2D51 & 0xFFFFFFFF
    return (block << 15 | block >> 17) * 0x1B873593 & 0xFFFFFFFF
