"""What the Python peers have in common: records decoded one by one, totals per window written to Redis."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import fastavro
import orjson
import redis

_CHUNK = 1000
_HEADER = 5  # of Confluent's framing

WindowTotal = tuple[int, int, int, float]  # account, end of the window (ms), count, sum


def decoder(kind: str, schema: str) -> Callable[[bytes], Any]:
    """Message value to a dict, by the quickest library for one record at a time."""
    if kind == "json":
        return orjson.loads
    parsed = fastavro.parse_schema(_without_logical_types(json.loads(schema)))

    def decode(payload: bytes) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(payload[_HEADER:]), parsed, None)

    return decode


def _without_logical_types(schema: Any) -> Any:
    """The same bytes, with times left as integers: making a datetime of each would only cost."""
    fields = [
        {**field, "type": field["type"]["type"] if isinstance(field["type"], dict) else field["type"]}
        for field in schema["fields"]
    ]
    return {**schema, "fields": fields}


class Rows:
    """A hash per account, ``{prefix}:{account}``, with one field per window: its end, then count and sum."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._prefix = prefix

    def write(self, totals: Iterable[WindowTotal]) -> None:
        """Later totals of a window replace earlier ones; within a call only the last is sent."""
        rows: dict[int, dict[str, str]] = defaultdict(dict)
        for account, end_ms, count, total in totals:
            rows[account][str(end_ms)] = f"{count} {total!r}"
        items = list(rows.items())
        for start in range(0, len(items), _CHUNK):
            pipeline = self._redis.pipeline(transaction=False)
            for account, fields in items[start : start + _CHUNK]:
                pipeline.hset(f"{self._prefix}:{account}", mapping=fields)
            pipeline.execute()
