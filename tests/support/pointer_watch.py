"""Watches pointers, epochs and progress of training while it runs: no reader may see one go back."""

from __future__ import annotations

from typing import Any

import redis

from headrace.streams.progress import ProgressStore
from tests.support.train_scene import Scene
from tests.support.watching import Watching


class PointerWatch(Watching):
    """Samples what is in force, again and again, within its block.

    Attributes
    ----------
    samples
        How many looks.
    went_back
        What went back, from where, and to where.
    """

    away = (redis.RedisError,)
    pause_s = 0.01
    looks_last = True

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._pointers, self._router = scene.pointers, scene.router
        self._progress = ProgressStore(scene.redis, scene.plan)
        self._seen: dict[Any, Any] = {}
        self.samples = 0
        self.went_back: list[tuple[Any, ...]] = []

    def look(self) -> None:
        self.samples += 1
        in_force = self._pointers.read(self._router)
        for arm, pointer in in_force.pointers.items():
            self._compare(("pointer", arm), pointer.position)
        if in_force.epoch is not None:
            self._compare("epoch", in_force.epoch.epoch)
        for where, progress in self._progress.read().items():
            self._compare(where, progress.next_offset)

    def _compare(self, what: Any, now: Any) -> None:
        before = self._seen.get(what, now)
        self._seen[what] = now
        if now < before:
            self.went_back.append((what, before, now))
