"""As `join_process`, taking its time over every record: of the changelog, of the outputs, of the inputs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

from headrace.streams.join import restore as join_restore
from headrace.streams.join.process import JoinProcess
from headrace.streams.log.reader import read_log
from headrace.streams.runtime import range_reader
from tests.support import join_process

_RECORD_S, _RANGE_S = 0.1, 1.0


def _read_slowly(*args: Any) -> Iterator[Any]:
    for message in read_log(*args):
        time.sleep(_RECORD_S)
        yield message


class _SlowJoin(JoinProcess):
    async def _on_input(self, message: Any) -> None:
        await asyncio.sleep(_RANGE_S)
        await super()._on_input(message)


if __name__ == "__main__":
    range_reader.MAX_RECORDS = 2
    join_restore.read_log = _read_slowly  # type: ignore[assignment]
    join_process.JoinProcess = _SlowJoin  # type: ignore[misc]
    join_process.main(*sys.argv[1:])
