"""Readers of a driver that read, checkpoint and crash as hypothesis draws it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from headrace.testing import LogReader
from tests.support.stream_driver import StreamDriver

ACTIONS = ("read", "read", "checkpoint", "crash", "crash in checkpoint")


def drive(
    data: st.DataObject,
    driver: StreamDriver,
    readers: Sequence[LogReader],
    actions: Sequence[str] = ACTIONS,
    steps: int = 12,
    records: int = 9,
) -> None:
    """Up to so many steps, each of one reader, which reads up to so many records."""
    for _ in range(data.draw(st.integers(0, steps))):
        reader = data.draw(st.sampled_from(readers))
        match data.draw(st.sampled_from(actions)):
            case "read":
                driver.step(reader, data.draw(st.integers(1, records)))
            case "pass time":
                driver.pass_time(reader, data.draw(st.integers(0, 3000)))
            case "checkpoint":
                reader.checkpoint()
            case "crash":
                reader.crash()
            case "crash in checkpoint":
                reader.checkpoint(written=data.draw(st.integers(0, 4)))
                reader.crash()
            case unknown:
                raise ValueError(f"no action '{unknown}'")
