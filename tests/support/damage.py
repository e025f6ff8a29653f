"""Bytes as damage or ill will may leave them: cut, flipped, mixed, replaced by what is absurd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

ABSURD: tuple[bytes, ...] = (
    b"", b"\0", b"null", b"true", b"7", b"-1", b"[]", b"{}", b'"text"', b"NaN", b"[" * 100_000, b"\xff\xfe",
    b'{"v": null}', b'{"v": [1]}', b'{"v": {}}', b'{"v": 1e400}', b'{"v": 1}', b'{"v": 3}', b"9" * 5_000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 1 << 70, 1e308, "", "../../etc/passwd", "\x1b[2J", [], {}, [[]], {"a": None}, "\ud800",
)  # fmt: skip


def damaged(whole: bytes, random: Random, rounds: int) -> Iterator[bytes]:
    """Yield absurd texts, then `rounds` damaged forms of `whole`."""
    yield from ABSURD
    for _ in range(rounds):
        yield random.choice((_cut, _flipped, _repeated, _changed))(whole, random)


def _cut(whole: bytes, random: Random) -> bytes:
    return whole[: random.randrange(len(whole))]


def _flipped(whole: bytes, random: Random) -> bytes:
    at = random.randrange(len(whole))
    return whole[:at] + bytes([whole[at] ^ 1 << random.randrange(8)]) + whole[at + 1 :]


def _repeated(whole: bytes, random: Random) -> bytes:
    first, end = sorted((random.randrange(len(whole)), random.randrange(len(whole))))
    return whole[:first] + whole[first:end] * 3 + whole[end:]


def _changed(whole: bytes, random: Random) -> bytes:
    """Replace a value of an object of JSON, or take it out; bytes that are no JSON are cut."""
    try:
        raw = json.loads(whole)
    except ValueError:
        return _cut(whole, random)
    _change(raw, random)
    return json.dumps(raw).encode()


def _change(raw: Any, random: Random) -> None:
    while raw:
        key = random.choice(list(raw) if isinstance(raw, dict) else range(len(raw)))
        if not isinstance(raw[key], dict | list) or not raw[key] or random.random() < 0.3:
            if random.random() < 0.2:
                del raw[key]
            else:
                raw[key] = random.choice(VALUES)
            return
        raw = raw[key]
