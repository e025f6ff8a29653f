"""As `join_process`, with a producer that some time never returns."""

from __future__ import annotations

import sys
import threading

from headrace.streams.join import process
from headrace.streams.log.offset_producer import OffsetProducer
from tests.support import join_process

_FLUSHES = 20


class _HangingProducer(OffsetProducer):
    _flushes = 0

    def flush_blocking(self) -> None:
        self._flushes += 1
        if self._flushes > _FLUSHES:
            threading.Event().wait()
        super().flush_blocking()


if __name__ == "__main__":
    process.OffsetProducer = _HangingProducer  # type: ignore[misc]
    join_process.main(*sys.argv[1:])
