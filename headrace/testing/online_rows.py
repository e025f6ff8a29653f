"""An online store in memory, in Feast's Redis layout: written and read by the code that serves from Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.retrieval import Request
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows


class OnlineStoreInMemory:
    """Hashes by key, as Redis would hold them.

    Attributes
    ----------
    latest_ms
        Event time of the newest row of a stream view, epoch milliseconds.
    """

    def __init__(self, plan: Plan) -> None:
        views: list[StreamViewSpec | BatchViewSpec] = [*plan.stream_views, *plan.batch_views]
        self._encoders = {
            view.name: ViewEncoder(plan.project, view, key_version=plan.online.key_version) for view in views
        }
        self._hashes: dict[bytes, dict[bytes, bytes]] = {}
        self.latest_ms = 0

    def write(self, rows: OnlineRows) -> None:
        """Store rows of a stream view."""
        self.latest_ms = max(self.latest_ms, rows.as_of_ms)
        time_us = np.array([rows.as_of_ms * 1000])
        provenance = (rows.partition, rows.offset, rows.as_of_ms, rows.state)
        self._run(self._encoders[rows.view].commands(rows.keys, rows.features, time_us, provenance))

    def write_batch_view(
        self, view: str, keys: Sequence[Any], features: Sequence[Column], times_us: NDArray[np.int64]
    ) -> None:
        """Store rows of a batch view; columns as `RedisOnlineSink.write_batch_view` takes them."""
        if len(times_us):
            self._run(self._encoders[view].commands(keys, features, times_us, None))

    def replies(self, request: Request) -> list[list[bytes | None]]:
        """Answer each command of a request for features."""
        return [
            [self._hashes.get(key, {}).get(field) for field in _words(command)[0][2:]]
            for key, command in zip(request.keys, request.commands, strict=True)
        ]

    def _run(self, commands: bytes) -> None:
        for _, key, *fields in _words(commands):
            self._hashes.setdefault(key, {}).update(zip(fields[::2], fields[1::2], strict=True))


def _words(commands: bytes) -> list[list[bytes]]:
    """The words of commands in the Redis protocol."""
    reader = hiredis.Reader()
    reader.feed(commands)
    found: list[list[bytes]] = []
    while (words := reader.gets()) is not False:
        found.append(words)
    return found
