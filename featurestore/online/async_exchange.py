"""Exchange of many commands and replies with Redis in one round trip, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from redis import exceptions

from headrace.featurestore.online.exchange import BROKEN_CONNECTION, unavailable
from headrace.featurestore.online.pending_commands import PendingCommands
from headrace.featurestore.online.together import Together
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_retry import is_temporary, pause_s

GATHER_S: Final = 0.002
_R = TypeVar("_R")


class AsyncExchange:
    """`Exchange` for asyncio, in one event loop.

    Requests that are made at the same time go together, so ``max_connections`` bounds the connections in use.

    Parameters
    ----------
    url
        See `Exchange`.
    timeout_s
        How long a request may take, in seconds, with waiting for its turn and with its retries, where the URL
        has no ``socket_timeout``.
    retries
        See `Exchange`.

    Attributes
    ----------
    nodes
        The servers behind the URL.

    Raises
    ------
    SettingsError
        When the URL cannot be used.
    """

    def __init__(self, url: str, timeout_s: float = 5.0, retries: int = 1) -> None:
        self.nodes = RedisNodes(url, timeout_s)
        self._tries = 1 + (retries if self.nodes.url.retries is None else self.nodes.url.retries)
        self._idle: dict[str, list[Any]] = {}  # by server; the last used is used first
        self._permits = asyncio.Semaphore(self.nodes.url.max_connections)
        self._gathering: Together | None = None  # what is sent next
        self._under_way = 0

    async def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """Exchange commands for their replies, in order; see `Exchange.run`.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer within the time-out and the retries, or refuses a command.
        """
        if self.nodes.clustered:
            return await self._in_time(lambda: self._run_in_cluster(keys, commands))
        return await self.send(b"".join(commands), len(commands))

    async def send(self, packed: bytes, count: int) -> list[Any]:
        """Exchange `count` commands that are packed already, where there is one server; see `run`.

        What is sent in one turn of the event loop goes together, and what is sent while others are answered,
        for 2 ms at most.
        """
        together = self._gathering
        if together is None or together.is_full:
            together = self._gathering = Together()
            asyncio.get_running_loop().call_soon(self._offer, together)
        return await together.replies(packed, count)

    def _offer(self, together: Together) -> None:
        if self._under_way:
            asyncio.get_running_loop().call_later(GATHER_S, self._start, together)
        else:
            self._start(together)

    def _start(self, together: Together) -> None:
        """Send what was gathered, unless that was done."""
        if together.has_begun:
            return
        if self._gathering is together:
            self._gathering = None
        self._under_way += 1
        together.begin(self._in_time(lambda: self._run_at_server(together)), self._ended)

    def _ended(self) -> None:
        self._under_way -= 1
        if self._gathering is not None:
            self._start(self._gathering)

    async def _in_time(self, exchange: Callable[[], Awaitable[_R]]) -> _R:
        """Wait for a permit, and for what is exchanged."""
        try:
            async with asyncio.timeout(self.nodes.timeout_s):
                async with self._permits:
                    return await exchange()
        except TimeoutError as error:
            raise unavailable(f"no answer within {self.nodes.timeout_s:g} s") from error
        except exceptions.RedisError as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close all connections that are not in use."""
        for connections in self._idle.values():
            while connections:
                await connections.pop().disconnect()
        await asyncio.to_thread(self.nodes.close)

    async def _run_at_server(self, together: Together) -> None:
        connection = self._connection("")
        try:
            for failures in range(1, self._tries + 1):
                try:
                    await connection.connect()
                    await connection.send_packed_command(together.packed())
                    await together.read(connection.read_response, is_last=failures == self._tries)
                    if together.is_answered:
                        return
                except BaseException as error:
                    await connection.disconnect(nowait=True)  # replies may be left in it
                    if not is_temporary(error) or failures == self._tries:
                        raise
                await asyncio.sleep(pause_s(failures))
        finally:
            self._idle[""].append(connection)

    async def _run_in_cluster(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        pending, failures = PendingCommands(keys, commands), 0
        if keys and not self._idle:
            await asyncio.to_thread(self.nodes.owner, keys[0])  # the first look at the cluster blocks
        while True:
            batches = pending.by_server(self.nodes.owner)
            await asyncio.gather(*(self._exchange(pending, *batch) for batch in batches.items()))
            if pending.error is None:
                return pending.replies
            failures += 1
            if failures > self._tries:
                raise pending.error
            await asyncio.sleep(pause_s(failures))
            with contextlib.suppress(exceptions.ConnectionError):  # the next try uses what is known
                await asyncio.to_thread(self.nodes.refresh)

    async def _exchange(self, pending: PendingCommands, server: str, positions: list[int]) -> None:
        connection, done = self._connection(server), 0
        try:
            await connection.connect()
            await connection.send_packed_command((pending.packed(positions),))
            for position in positions:
                try:
                    if pending.is_redirected(position):
                        with contextlib.suppress(exceptions.ResponseError):  # the command fails as well
                            await connection.read_response()
                    pending.resolve(position, await connection.read_response())
                except exceptions.ResponseError as error:
                    pending.resolve(position, error)
                done += 1
        except BROKEN_CONNECTION as error:
            pending.fail(positions[done:], error)
        finally:
            if done < len(positions):
                await connection.disconnect(nowait=True)  # replies may be left in it
            self._idle[server].append(connection)

    def _connection(self, server: str) -> Any:
        try:
            return self._idle.setdefault(server, []).pop()
        except IndexError:
            return self.nodes.async_connection(server)
