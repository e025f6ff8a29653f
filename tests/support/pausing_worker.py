"""As `worker_process`, with a worker that stops itself (SIGSTOP) at a seam, once.

`python -m tests.support.pausing_worker PLAN KAFKA REDIS IDLE_MS REGISTRY CONFIG`, where CONFIG has ``seam``,
and ``after``: at which passage of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.streams.log.transactions import TransactionalProducer
from headrace.streams.worker.owned_partition import OwnedPartition
from headrace.streams.worker.process import WorkerProcess
from tests.support import worker_process

SEAMS: dict[str, tuple[type[Any], str, str]] = {
    "between deciding and sending": (WorkerProcess, "_send", "before"),
    "before the rows": (RedisOnlineSink, "write", "before"),
    "inside a Redis exchange": (RedisOnlineSink, "_send_to", "within"),
    "before a checkpoint is put together": (OwnedPartition, "cut", "before"),
    "between a checkpoint and its transaction": (TransactionalProducer, "commit", "before"),
    "inside a transaction, before its offsets": (TransactionalProducer, "_send_offsets", "before"),
    "inside a transaction, before its end": (TransactionalProducer, "_end", "before"),
    "behind a transaction": (TransactionalProducer, "commit", "after"),
}


class _Pause:
    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


def install(seam: str, after: int) -> None:
    kind, name, where = SEAMS[seam]
    pause, original = _Pause(after), getattr(kind, name)
    setattr(kind, name, _within(original, pause) if where == "within" else _around(original, pause, where))


def _around(original: Callable[..., Any], pause: _Pause, where: str) -> Callable[..., Any]:
    def paused(*args: Any, **named: Any) -> Any:
        if where == "before":
            pause()
        result = original(*args, **named)
        if where == "after":
            pause()
        return result

    return paused


def _within(original: Callable[..., Any], pause: _Pause) -> Callable[..., Any]:
    """Pause when commands have been sent and no reply has been read."""

    async def paused(self: Any, server: str, packed: Any, replies: Any) -> None:
        def sent() -> Any:
            yield from packed
            pause()

        await original(self, server, sent(), replies)

    return paused


if __name__ == "__main__":
    config = json.loads(sys.argv[6])
    install(config.pop("seam"), config.pop("after"))
    worker_process.main(*sys.argv[1:6], json.dumps(config))
