"""Waiting until something holds: no test sleeps for a time that it has made up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

# Nothing takes as long on a machine that is merely busy: whatever is waited for beyond this will not come.
PATIENCE_S = 180.0
# How long a broker holds back a fetch from the processes of tests: dozens of them, which mostly idle, would
# keep it busy if they asked again as soon as those of users do.
FETCH_WAIT_MS = 40
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1
Seen = TypeVar("Seen")


class _Wait:
    """The pauses of one wait, and its end."""

    def __init__(self, what: str, within_s: float) -> None:
        self._what, self._within_s = what, within_s
        self._deadline_s, self._pause_s = time.monotonic() + within_s, _FIRST_PAUSE_S

    def pause_s(self, seen: object) -> float:
        if time.monotonic() > self._deadline_s:
            raise AssertionError(f"waited {self._within_s:g} s for {self._what}; seen last: {seen!r}")
        self._pause_s = min(1.5 * self._pause_s, _LONGEST_PAUSE_S)
        return self._pause_s


def eventually(
    look: Callable[[], Seen],
    what: str,
    holds: Callable[[Seen], Any] = bool,
    within_s: float = PATIENCE_S,
) -> Seen:
    """Return what `look` sees, once that `holds`.

    Parameters
    ----------
    look
        Is called again and again. What it raises ends the wait.
    what
        What is waited for. A failure says it, and what was seen last.
    holds
        Whether what was seen is what is waited for.
    within_s
        When to give up.
    """
    wait = _Wait(what, within_s)
    while not holds(seen := look()):
        time.sleep(wait.pause_s(seen))
    return seen


async def eventually_in_loop(
    look: Callable[[], Seen],
    what: str,
    holds: Callable[[Seen], Any] = bool,
    within_s: float = PATIENCE_S,
) -> Seen:
    """As `eventually`, while the event loop goes on."""
    wait = _Wait(what, within_s)
    while not holds(seen := look()):  # noqa: ASYNC110 (what is looked at sets no event)
        await asyncio.sleep(wait.pause_s(seen))
    return seen


async def let_tasks_run() -> None:
    """Give every task of the loop its turn, several times: what does not wait for anything is done then."""
    for _ in range(20):
        await asyncio.sleep(0)


def until_some_moment(rng: random.Random, within_s: float) -> None:
    """Let a random time go by. For faults alone, whose moment is nobody's choice: nothing is waited for."""
    time.sleep(rng.random() * within_s)
