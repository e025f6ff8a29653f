"""As `worker_process`, taking its time over the few records of its changelogs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from headrace.streams.log.reader import read_log
from headrace.streams.worker import restore
from tests.support import worker_process

_RECORD_S = 5.0


def _read_slowly(*args: Any) -> Iterator[Any]:
    for message in read_log(*args):
        time.sleep(_RECORD_S)
        yield message


if __name__ == "__main__":
    restore.read_log = _read_slowly  # type: ignore[assignment]
    worker_process.main(*sys.argv[1:])
