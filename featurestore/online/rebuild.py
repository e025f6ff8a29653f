"""Restores rows of stream views in an online store that has lost some, while workers may be writing to it.

One script per row decides and writes, so that a row of a later prefix stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headrace.featurestore.online.chunks import RowChunk
from headrace.featurestore.online.exchange import Exchange
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import REDIS_ERRORS
from headrace.streams.connections.redis_updates import (
    ELSEWHERE,
    MISSING,
    NEWER,
    OLDER,
    SAME,
    HashUpdate,
    restore_script,
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
        The plan, which has project, views and types.

    Raises
    ------
    SettingsError
        When the URL cannot be used.
    """

    def __init__(self, redis_url: str, plan: Plan) -> None:
        self._exchange = Exchange(redis_url)
        self._client = redis_client(redis_url)
        verb = (b"EVAL", restore_script(plan.online.key_ttl_s).text.encode(), b"1")
        version = plan.online.key_version
        self._encoders = {
            view.name: ViewEncoder(plan.project, view, verb, version) for view in plan.stream_views
        }

    def write(self, rows: OnlineRows) -> Mapping[str, int]:
        """Store the rows that are missing, or there as of an earlier prefix of the same partition.

        Returns
        -------
        dict
            How many were ``missing``, ``older`` and ``current``.

        Raises
        ------
        ServiceUnavailable
            When Redis cannot take them.
        """
        outcomes: Counter[str] = Counter()
        try:
            for replies in self._send(rows):
                outcomes.update(_OUTCOMES[reply] for reply in replies)
        except (ServiceUnavailable, *REDIS_ERRORS, OSError) as error:
            raise ServiceUnavailable(
                f"Redis takes no rows: {error}; run it again when it does: what was written is not harmed"
            ) from error
        return outcomes

    def publish(self, updates: Sequence[HashUpdate]) -> None:
        """Store fields of progress and counts, unless those of a longer prefix are there.

        Raises
        ------
        ServiceUnavailable
            When Redis cannot take them.
        """
        try:
            write_fields(self._client, updates)
        except REDIS_ERRORS as error:
            raise ServiceUnavailable(f"Redis takes no progress: {error}") from error

    def _send(self, rows: OnlineRows) -> Iterator[list[int]]:
        """Replies to each chunk of rows."""
        provenance = (rows.partition, rows.offset, rows.as_of_ms, rows.state)
        time_us = np.array([rows.as_of_ms * 1000])
        encoder = self._encoders[rows.view]
        for chunk in RowChunk(encoder, rows.keys, rows.features, time_us, provenance).split(_CHUNK_ROWS):
            if self._exchange.nodes.clustered:
                yield self._exchange.run(*chunk.commands_by_row())
            else:
                yield self._exchange.send(chunk.commands(), len(chunk))
