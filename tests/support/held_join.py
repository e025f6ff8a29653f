"""As `join_process`, taking a few ranges of its inputs, and the others only once it is told to stop."""

from __future__ import annotations

import logging
import sys
from typing import Any

from headrace.streams.join.process import JoinProcess
from headrace.streams.runtime import range_reader
from tests.support import join_process
from tests.support.waiting import eventually_in_loop

HOLDS = "the inputs are held back"
_TAKEN = 3


class _HeldJoin(JoinProcess):
    _ranges = 0

    async def _on_input(self, message: Any) -> None:
        self._ranges += 1
        if self._ranges > _TAKEN:
            logging.getLogger(__name__).info(HOLDS)
            flow = self._app.flow_control
            await eventually_in_loop(lambda: not flow.is_active(), "the end", within_s=float("inf"))
        await super()._on_input(message)


if __name__ == "__main__":
    range_reader.MAX_RECORDS = 2
    join_process.JoinProcess = _HeldJoin  # type: ignore[misc]
    join_process.main(*sys.argv[1:])
