"""Requests that go to Redis in one write and come back on one connection.

Each has its own replies and its own error: a command that is refused harms nobody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions

from headrace.featurestore.online.exchange import unavailable
from headrace.streams.connections.redis_retry import is_temporary

_MOST_COMMANDS: Final = 256
_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Sent:
    """Packed commands, how many they are, and who waits for their replies."""

    packed: bytes
    count: int
    replies: asyncio.Future[list[Any]]


class Together:
    """Requests that are exchanged together, while one is wanted."""

    def __init__(self) -> None:
        self._open: list[_Sent] = []
        self._commands = self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the next request is to go with others."""
        return self._commands >= _MOST_COMMANDS or self._bytes >= _MOST_BYTES

    @property
    def is_answered(self) -> bool:
        """Whether nobody waits any more."""
        return all(each.replies.done() for each in self._open)

    async def replies(self, packed: bytes, count: int) -> list[Any]:
        """Add a request, and wait for its replies.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer, or refuses a command.
        """
        waiting = asyncio.get_running_loop().create_future()
        self._open.append(_Sent(packed, count, waiting))
        self._commands, self._bytes = self._commands + count, self._bytes + len(packed)
        try:
            return await waiting  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            self._forget_cancelled()
            raise

    @property
    def has_begun(self) -> bool:
        """Whether they are on their way."""
        return self._task is not None

    def begin(self, exchange: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Run the exchange that answers all; `ended` is called when it has."""

        def end(task: asyncio.Task[None]) -> None:
            self._tell(task)
            ended()

        self._task = asyncio.create_task(exchange)
        self._task.add_done_callback(end)
        self._forget_cancelled()

    def packed(self) -> list[bytes]:
        """Return the commands of those that are not answered yet; `read` reads their replies."""
        self._open = [each for each in self._open if not each.replies.done()]
        return [each.packed for each in self._open]

    async def read(self, read_reply: Callable[[], Awaitable[Any]], is_last: bool) -> None:
        """Read the replies of all that were sent, and answer; what failed for the moment stays open.

        Parameters
        ----------
        is_last
            Whether nothing is sent again.
        """
        for each in self._open:
            found, refusal = await _replies(read_reply, each.count)
            if refusal is None or is_last or not is_temporary(refusal):
                _answer(each, found, refusal)

    def _forget_cancelled(self) -> None:
        """Nobody waits for these; without anybody the exchange ends."""
        if self.is_answered and self._task is not None:
            self._task.cancel()

    def _tell(self, task: asyncio.Task[None]) -> None:
        """Tell those that are not answered why."""
        error = None if task.cancelled() else task.exception()
        for each in self._open:
            if not each.replies.done():
                if error is None:
                    each.replies.cancel()
                else:
                    each.replies.set_exception(error)


async def _replies(
    read_reply: Callable[[], Awaitable[Any]], count: int
) -> tuple[list[Any], exceptions.ResponseError | None]:
    """Read replies; the first that is a refusal is told of all."""
    found, refusal = [], None
    for _ in range(count):
        try:
            found.append(await read_reply())
        except exceptions.ResponseError as error:
            refusal = refusal or error
    return found, refusal


def _answer(sent: _Sent, replies: list[Any], refusal: exceptions.ResponseError | None) -> None:
    if sent.replies.done():  # cancelled in the meantime
        return
    if refusal is None:
        sent.replies.set_result(replies)
    else:
        error = unavailable(refusal)
        error.__cause__ = refusal  # who pushes rows looks whether a script was not there
        sent.replies.set_exception(error)
