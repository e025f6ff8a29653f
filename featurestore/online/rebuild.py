"""Rows of stream views into an online store that has lost some, while workers may be writing to it.

One script per row decides and writes: a row that is there as of a later prefix is newer, and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import redis

from headrace.featurestore.online.chunks import RowChunk
from headrace.featurestore.online.commands import Exchange
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.sinks import OnlineRows

_CHUNK_ROWS = 500
# The last two words are the provenance (redis_layout). Offsets of different partitions do not compare.
_WRITE_ROW = b"""
local has = redis.call('HGET', KEYS[1], ARGV[#ARGV - 1])
if has then
  local partition, offset, as_of = struct.unpack('<i4i8i8', has)
  local p, o, a = struct.unpack('<i4i8i8', ARGV[#ARGV])
  if p ~= partition or offset > o or (offset == o and as_of >= a) then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV))
return has and 1 or 2
"""
_OUTCOMES = {0: "current", 1: "older", 2: "missing"}
# Fields whose numbers add up to no less than ours stand for a prefix that is no shorter.
_PUBLISH = """
local function size(text)
  local value = cjson.decode(text)
  if value['next'] then return value['next'] end
  local total = 0
  for _, count in pairs(value) do total = total + count end
  return total
end
for n = 1, #ARGV, 2 do
  local has = redis.call('HGET', KEYS[1], ARGV[n])
  if not has or size(has) < size(ARGV[n + 1]) then redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
end
"""


class RedisRebuildStore:
    """Implements `headrace.streams.worker.rebuild.RowStore`.

    Parameters
    ----------
    redis_url
        The online store.
    plan
        Tells project, views and types.
    """

    def __init__(self, redis_url: str, plan: Plan) -> None:
        self._exchange = Exchange(redis_url)
        self._client = redis_client(redis_url)
        verb = (b"EVAL", _WRITE_ROW, b"1")
        self._encoders = {view.name: ViewEncoder(plan.project, view, verb) for view in plan.stream_views}

    def write(self, rows: OnlineRows) -> Mapping[str, int]:
        """Store the rows that are missing or there as of an earlier prefix of the same partition.

        Returns
        -------
        dict
            How many were ``missing``, ``older`` and ``current``.

        Raises
        ------
        ServiceUnavailable
            When Redis cannot take them.
        """
        found = np.zeros(len(_OUTCOMES), np.int64)
        try:
            for outcomes in self._send(rows):
                found += np.bincount(outcomes, minlength=len(found))
        except (ServiceUnavailable, redis.RedisError, OSError) as error:
            raise ServiceUnavailable(
                f"Redis takes no rows: {error}; run it again when it does: what was written is not harmed"
            ) from error
        return {_OUTCOMES[n]: count for n, count in enumerate(found.tolist()) if count}

    def publish(self, hashes: Mapping[str, Mapping[str, str]]) -> None:
        """Store fields of progress and counts, unless those of a prefix as long are there."""
        for key, fields in hashes.items():
            try:
                self._client.eval(_PUBLISH, 1, key, *(word for item in fields.items() for word in item))
            except redis.RedisError as error:
                raise ServiceUnavailable(f"Redis takes no progress: {error}") from error

    def _send(self, rows: OnlineRows) -> Iterator[list[int]]:
        provenance, time_us = (rows.partition, rows.offset, rows.as_of_ms), np.array([rows.as_of_ms * 1000])
        every = RowChunk(self._encoders[rows.view], rows.keys, rows.features, time_us, provenance)
        for start in range(0, len(rows), _CHUNK_ROWS):
            part = every.part(slice(start, start + _CHUNK_ROWS))
            if self._exchange.nodes.clustered:
                yield self._exchange.run(*part.one_by_one())
            else:
                yield self._exchange.send(part.commands(), len(part))
