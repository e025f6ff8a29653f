"""A process that stops itself (SIGSTOP) at a seam, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

Seam = tuple[type[Any], str, str]  # class, method, and where of it: before, after, or within what is sent


class _Pause:
    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


def install(seams: Mapping[str, Seam], seam: str, after: int) -> None:
    """Have this process stop at the passage number `after` of a seam."""
    kind, name, where = seams[seam]
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
