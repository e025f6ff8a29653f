"""Rows of stream views into an online store that has lost some, while workers may be writing to it.

One script per row decides and writes: a row that is there as of a later prefix is newer, and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import redis

from headrace.featurestore.online.chunks import RowChunk
from headrace.featurestore.online.commands import Exchange
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_updates import (
    ELSEWHERE,
    MISSING,
    NEWER,
    OLDER,
    RESTORE_ROW,
    SAME,
    HashUpdate,
    write_fields,
)
from headrace.streams.sinks import OnlineRows

_CHUNK_ROWS = 500
_OUTCOMES = {SAME: "current", OLDER: "older", MISSING: "missing", ELSEWHERE: "current", NEWER: "current"}


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
        verb = (b"EVAL", RESTORE_ROW.text.encode(), b"1")
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
        counts: Counter[str] = Counter()
        for n, count in enumerate(found.tolist()):
            counts[_OUTCOMES[n]] += count
        return +counts

    def publish(self, updates: Sequence[HashUpdate]) -> None:
        """Store fields of progress and counts, unless those of a longer prefix are there."""
        try:
            write_fields(self._client, updates)
        except redis.RedisError as error:
            raise ServiceUnavailable(f"Redis takes no progress: {error}") from error

    def _send(self, rows: OnlineRows) -> Iterator[list[int]]:
        provenance = (rows.partition, rows.offset, rows.as_of_ms, rows.state)
        time_us = np.array([rows.as_of_ms * 1000])
        every = RowChunk(self._encoders[rows.view], rows.keys, rows.features, time_us, provenance)
        for start in range(0, len(rows), _CHUNK_ROWS):
            part = every.part(slice(start, start + _CHUNK_ROWS))
            if self._exchange.nodes.clustered:
                yield self._exchange.run(*part.one_by_one())
            else:
                yield self._exchange.send(part.commands(), len(part))
