"""Counts of what became of records, as processes keep them in Redis.

Many accounts write there, so what is read may be anything: what is damaged counts as none.
"""

from __future__ import annotations

import json
from typing import Any

import redis

from headrace.streams.progress.alarms import TWO_PARTITIONS, alarms_key
from headrace.streams.progress.record import BEYOND, counts_key


def read_counts(client: redis.Redis, project: str) -> dict[str, dict[str, int]]:
    """Return counts by name, by the fields of `counts_key`."""
    raw: Any = client.hgetall(counts_key(project))
    return {readable(name): _counts(text) for name, text in raw.items()}


def read_two_partitions(client: redis.Redis, project: str) -> dict[str, int]:
    """Return the alarm `TWO_PARTITIONS` by source."""
    raw: Any = client.hgetall(alarms_key(project))
    begin = f"{TWO_PARTITIONS}|"
    named = {readable(name): text for name, text in raw.items()}
    return {name.removeprefix(begin): _number(text) for name, text in named.items() if name.startswith(begin)}


def readable(name: str | bytes) -> str:
    """Return the name of a field of Redis, also where it is no text."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def _counts(text: str | bytes) -> dict[str, int]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: n for name, n in raw.items() if _is_count(n)} if isinstance(raw, dict) else {}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < BEYOND


def _number(text: str | bytes) -> int:
    try:
        number = int(text)
    except ValueError:
        return 0
    return number if _is_count(number) else 0
