"""As `worker_process`, with a sink that some time never returns and does not say that it waits."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from headrace.featurestore.online.writer import RedisOnlineSink
from tests.support import worker_process

_WRITES = 20


class _HangingSink(RedisOnlineSink):
    _writes = 0

    async def write(self, *args: Any) -> None:
        self._writes += 1
        if self._writes > _WRITES:
            await asyncio.Event().wait()
        await super().write(*args)


if __name__ == "__main__":
    worker_process.RedisOnlineSink = _HangingSink  # type: ignore[misc]
    worker_process.main(*sys.argv[1:])
