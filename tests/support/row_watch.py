"""Watches the rows of a scene while it runs: no reader may see one go back to an earlier prefix."""

from __future__ import annotations

from typing import Any

import redis

from headrace.featurestore.redis_codec import layout
from headrace.schemas.plan import Plan
from tests.support.watching import Watching


class RowWatch(Watching):
    """Samples every row within its block, again and again.

    Attributes
    ----------
    samples
        How many rows were looked at, all rounds together.
    went_back
        Redis key, view, and the two prefixes of each row that went back.
    """

    away = (redis.RedisError,)
    looks_last = True

    def __init__(self, redis_url: str, plan: Plan) -> None:
        super().__init__()
        self._redis = redis.Redis.from_url(redis_url)
        self._project = plan.project.encode()
        self._fields = {view.name: layout.provenance_field(view.name) for view in plan.stream_views}
        self._seen: dict[tuple[bytes, str], tuple[int, int, int, bytes]] = {}
        self.samples = 0
        self.went_back: list[tuple[Any, ...]] = []

    def look(self) -> None:
        keys = [key for key in self._redis.scan_iter(count=1000) if key.endswith(self._project)]
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, list(self._fields.values()))
        for key, cells in zip(keys, pipeline.execute(), strict=True):
            for view, raw in zip(self._fields, cells, strict=True):
                if raw is not None:
                    self._compare(key, view, layout.PROVENANCE.unpack(raw))

    def _compare(self, key: bytes, view: str, now: tuple[int, int, int, bytes]) -> None:
        before = self._seen.get((key, view))
        self._seen[key, view] = now
        self.samples += 1
        if before is not None and (before[0], before[3]) == (now[0], now[3]) and now[1:3] < before[1:3]:
            self.went_back.append((key, view, before, now))
