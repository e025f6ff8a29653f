"""Watches progress and counts while processes run: whoever reads them again never sees less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import redis

from headrace.streams.connections.redis_updates import PREFIX_MARK
from headrace.streams.progress import counts_key, progress_key
from tests.support.watching import Watching

_LEVELS = frozenset({"pending", "parked"})  # of the join: how many there are now


class AdvanceWatch(Watching):
    """Reads progress and counts of a project, again and again, within its block.

    Attributes
    ----------
    samples
        How many numbers were read.
    went_back
        Name, number before, and the smaller one after it.
    """

    away = (redis.RedisError,)

    def __init__(self, redis_url: str, project: str) -> None:
        super().__init__()
        self._redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self._progress, self._counts = progress_key(project), counts_key(project)
        self._seen: dict[str, int] = {}
        self.samples = 0
        self.went_back: list[tuple[str, int, int]] = []

    def look(self) -> None:
        for name, number in list(self._numbers()):
            before = self._seen.get(name, number)
            if number < before:
                self.went_back.append((name, before, number))
            self._seen[name] = number
            self.samples += 1

    def _numbers(self) -> Iterator[tuple[str, int]]:
        for name, value in self._records(self._progress):
            yield name, value["next"]
            for output, end in value["out"].items():
                yield f"{name} out {output}", end
        for name, value in self._records(self._counts):
            for what, number in value.items():
                if what not in _LEVELS:
                    yield f"{name} {what}", number

    def _records(self, key: str) -> Iterator[tuple[str, Any]]:
        stored: Any = self._redis.hgetall(key)
        for name, value in stored.items():
            if not name.startswith(PREFIX_MARK):
                yield name, json.loads(value)
