r"""The parts of protobuf's wire format that Feast's values are made of, in plain Python.

>>> encode_varint(300), encode_varint(-1)
(b'\xac\x02', b'\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01')
>>> decode_varint(b"\xac\x02", 0)
(300, 2)
>>> behind_length(b"UA")
b'\x02UA'
>>> decode_timestamp_ms(encode_timestamp(1_500_000))
1500

References
----------
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_FIXED_BYTES = {1: 8, 5: 4}  # by wire type


def encode_varint(value: int) -> bytes:
    """Encode an int64; a negative one takes ten bytes."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def decode_varint(raw: bytes, start: int) -> tuple[int, int]:
    """Decode an int64 at `start`; return it and the position after it.

    Raises
    ------
    IndexError
        When the bytes end within it.
    """
    value = shift = 0
    end = start
    while True:
        byte = raw[end]
        end += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value - (1 << 64) if value >> 63 else value), end
        shift += 7


def behind_length(text: bytes) -> bytes:
    """Put the length of a string before it."""
    return encode_varint(len(text)) + text


def message_fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Iterate over number and content of the fields of a message; content is int for varints, else bytes.

    Raises
    ------
    ValueError, IndexError, KeyError
        When the message is cut off, or has groups, which protobuf has given up.
    """
    position = 0
    while position < len(message):
        tag, position = decode_varint(message, position)
        if tag & 7 == 0:
            number, position = decode_varint(message, position)
            yield tag >> 3, number
            continue
        size, position = (
            decode_varint(message, position) if tag & 7 == 2 else (_FIXED_BYTES[tag & 7], position)
        )
        end = position + size
        if size < 0 or end > len(message):
            raise ValueError("a message is cut off")
        yield tag >> 3, message[position:end]
        position = end


def encode_timestamp(time_us: int) -> bytes:
    """Encode epoch microseconds as a `Timestamp`; zeros are left out, as proto3 does."""
    seconds, micros = divmod(time_us, 1_000_000)
    first = b"\x08" + encode_varint(seconds) if seconds else b""
    return first + (b"\x10" + encode_varint(micros * 1000) if micros else b"")


def decode_timestamp_ms(raw: bytes) -> int:
    """Decode a `Timestamp` to epoch milliseconds, rounded down."""
    seconds = nanos = position = 0
    while position < len(raw):
        field = raw[position]
        value, position = decode_varint(raw, position + 1)
        if field == 0x08:
            seconds = value
        else:
            nanos = value
    return seconds * 1000 + nanos // 1_000_000
