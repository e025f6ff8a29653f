"""As `join_process`, with a producer that some time never returns."""

from __future__ import annotations

import sys
import threading
from typing import Any

from headrace.streams.join import process
from headrace.streams.log.offset_producer import OffsetProducer
from tests.support import join_process

_COMMITS = 10


class _HangingProducer(OffsetProducer):
    _commits = 0

    def commit(self, *args: Any) -> None:
        self._commits += 1
        if self._commits > _COMMITS:
            threading.Event().wait()
        super().commit(*args)


if __name__ == "__main__":
    process.OffsetProducer = _HangingProducer  # type: ignore[misc]
    join_process.main(*sys.argv[1:])
