"""Restores that do not end by themselves: what has to end while they run is then not merely quick."""

from __future__ import annotations

from headrace.streams.runtime.restoring import Restoring
from tests.support.waiting import eventually

_check = Restoring.check


def _check_and_stall(restoring: Restoring) -> None:
    """Let the first record pass, and no other before the restore has been abandoned."""
    if restoring.next_offset:
        eventually(lambda: restoring.abandoned, "the end of a restore", within_s=float("inf"))
    _check(restoring)


def stall_restores() -> None:
    Restoring.check = _check_and_stall  # type: ignore[method-assign]
