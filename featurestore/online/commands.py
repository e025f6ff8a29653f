"""Many commands to Redis in one round trip: packed by the caller, sent as they are, to one server or several.

Commands sent here may be sent again: reads, and writes of values that do not depend on what was there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from redis import exceptions

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis import Connection, RedisNodes
from headrace.streams.connections.redis_retry import is_temporary, pause_s

_BROKEN = (exceptions.ConnectionError, exceptions.TimeoutError)
_ASKING = b"*1\r\n$6\r\nASKING\r\n"


class _Round:
    """Commands that are still to be answered, by the server that is asked."""

    def __init__(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> None:
        self._keys, self._commands = keys, commands
        self.replies: list[Any] = [None] * len(commands)
        self._open = list(range(len(commands)))
        self._asked: dict[int, str] = {}  # command to the server that is taking its slot over
        self.problem: Exception | None = None

    def batches(self, nodes: RedisNodes) -> dict[str, list[int]]:
        """Positions of commands by server; nothing when all have been answered."""
        batches: dict[str, list[int]] = {}
        for position in self._open:
            owner = self._asked.get(position) or nodes.owner(self._keys[position])
            batches.setdefault(owner, []).append(position)
        self._open, self.problem = [], None
        return batches

    def payload(self, positions: Sequence[int]) -> bytes:
        if not self._asked:
            return b"".join([self._commands[position] for position in positions])
        return b"".join(
            (_ASKING if position in self._asked else b"") + self._commands[position] for position in positions
        )

    def is_asked(self, position: int) -> bool:
        return position in self._asked

    def take(self, position: int, reply: Any) -> None:
        """A reply, or the error in its place."""
        self._asked.pop(position, None)
        if isinstance(reply, Exception):
            if not is_temporary(reply):
                raise reply
            if isinstance(reply, exceptions.AskError) and not isinstance(reply, exceptions.MovedError):
                self._asked[position] = f"{reply.host}:{reply.port}"
            self._open.append(position)
            self.problem = reply
        else:
            self.replies[position] = reply


class Exchange:
    """Sends commands and reads their replies. Safe to share among threads, and after a fork.

    Parameters
    ----------
    url
        See `headrace.streams.connections.redis_url`. Its ``max_connections`` is how many requests may be
        under way at once; more wait their turn, each for its time-out at most.
    timeout_s
        How long a reply may take, where the URL does not say.
    retries
        How often what was not answered is sent again, where the URL does not say.
    """

    def __init__(self, url: str, timeout_s: float = 5.0, retries: int = 1) -> None:
        self.nodes = RedisNodes(url, timeout_s)
        self._tries = 1 + (retries if self.nodes.url.retries is None else self.nodes.url.retries)
        self._start()
        _LIVE.add(self)

    def _start(self) -> None:
        self._free: dict[str, list[Connection]] = {}  # by server; the last used is used first
        self._places = threading.BoundedSemaphore(self.nodes.url.max_connections)

    def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """Replies to commands, in their order; each command has one key.

        Raises
        ------
        ServiceUnavailable
            When they are not answered within the time-out and the retries.
        """
        if not self.nodes.clustered:
            return self.send(b"".join(commands), len(commands))
        with self._place():
            return self._in_cluster(keys, commands)

    def send(self, packed: bytes, count: int) -> list[Any]:
        """Replies to `count` commands that are packed already, where there is one server; see `run`."""
        with self._place():
            return self._at_server(packed, count)

    def close(self) -> None:
        for connections in self._free.values():
            while connections:
                connections.pop().disconnect()
        self.nodes.close()

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self.nodes.timeout_s):
            raise ServiceUnavailable(
                f"all {self.nodes.url.max_connections} connections to the {self.nodes.url} have been in use "
                f"for {self.nodes.timeout_s:g} s; raise max_connections in its URL"
            )
        try:
            yield
        except exceptions.RedisError as error:
            raise unavailable(error) from error
        finally:
            self._places.release()

    def _at_server(self, payload: bytes, count: int) -> list[Any]:
        connection = self._take("")
        try:
            for tried in range(self._tries):
                try:
                    connection.connect()
                    connection.send_packed_command((payload,))
                    read = connection.read_response
                    return [read() for _ in range(count)]
                except BaseException as error:
                    connection.disconnect()  # replies may be left in it
                    if not is_temporary(error) or tried == self._tries - 1:
                        raise
                time.sleep(pause_s(tried + 1))
            raise AssertionError("the last try returns or raises")
        finally:
            self._free[""].append(connection)

    def _in_cluster(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        work = _Round(keys, commands)
        tried = 0
        while True:
            self._ask(work, work.batches(self.nodes))
            if work.problem is None:
                return work.replies
            if tried == self._tries:  # once more than elsewhere: a redirection is no failure
                raise work.problem
            time.sleep(pause_s(tried + 1))
            with contextlib.suppress(exceptions.ConnectionError):  # not now: it counts as a try
                self.nodes.refresh()
            tried += 1

    def _ask(self, work: _Round, batches: dict[str, list[int]]) -> None:
        """All servers are sent to before the first is read from."""
        taken: list[tuple[str, list[int], Connection]] = []
        unread: set[int] = set()
        try:
            for server, positions in batches.items():
                connection = self._take(server)
                taken.append((server, positions, connection))
                unread.add(id(connection))
                try:
                    connection.connect()
                    connection.send_packed_command((work.payload(positions),))
                except _BROKEN as error:
                    _lost(work, positions, error)
                    positions.clear()
            for _, positions, connection in taken:
                self._read(work, positions, connection)
                unread.discard(id(connection))
        finally:
            for server, _, connection in taken:
                if id(connection) in unread:
                    connection.disconnect()
                self._free[server].append(connection)

    @staticmethod
    def _read(work: _Round, positions: list[int], connection: Connection) -> None:
        for done, position in enumerate(positions):
            try:
                if work.is_asked(position):
                    connection.read_response()
                work.take(position, connection.read_response())
            except _BROKEN as error:
                connection.disconnect()
                _lost(work, positions[done:], error)
                return
            except exceptions.ResponseError as error:
                work.take(position, error)

    def _take(self, server: str) -> Connection:
        try:
            return self._free.setdefault(server, []).pop()
        except IndexError:
            return self.nodes.connection(server)


def _lost(work: _Round, positions: Sequence[int], error: Exception) -> None:
    for position in positions:
        work.take(position, error)


class AsyncExchange:
    """`Exchange` for asyncio, of one event loop."""

    def __init__(self, url: str, timeout_s: float = 5.0, retries: int = 1) -> None:
        self.nodes = RedisNodes(url, timeout_s)
        self._tries = 1 + (retries if self.nodes.url.retries is None else self.nodes.url.retries)
        self._free: dict[str, list[Any]] = {}
        self._places = asyncio.Semaphore(self.nodes.url.max_connections)

    async def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """Replies to commands, in their order; see `Exchange.run`. The time-out is that of the whole."""
        try:
            async with asyncio.timeout(self.nodes.timeout_s), self._places:
                if self.nodes.clustered:
                    return await self._in_cluster(keys, commands)
                return await self._at_server(b"".join(commands), len(commands))
        except TimeoutError as error:
            raise unavailable(f"no answer within {self.nodes.timeout_s:g} s") from error
        except exceptions.RedisError as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        for connections in self._free.values():
            while connections:
                await connections.pop().disconnect()
        await asyncio.to_thread(self.nodes.close)

    async def _at_server(self, payload: bytes, count: int) -> list[Any]:
        connection = self._take("")
        try:
            for tried in range(self._tries):
                try:
                    await connection.connect()
                    await connection.send_packed_command((payload,))
                    return [await connection.read_response() for _ in range(count)]
                except BaseException as error:
                    await connection.disconnect(nowait=True)  # replies may be left in it
                    if not is_temporary(error) or tried == self._tries - 1:
                        raise
                await asyncio.sleep(pause_s(tried + 1))
            raise AssertionError("the last try returns or raises")
        finally:
            self._free[""].append(connection)

    async def _in_cluster(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        work = _Round(keys, commands)
        if keys and not self._free:
            await asyncio.to_thread(self.nodes.owner, keys[0])  # the first look at the cluster blocks
        tried = 0
        while True:
            batches = work.batches(self.nodes)
            await asyncio.gather(*(self._ask(work, *batch) for batch in batches.items()))
            if work.problem is None:
                return work.replies
            if tried == self._tries:
                raise work.problem
            await asyncio.sleep(pause_s(tried + 1))
            with contextlib.suppress(exceptions.ConnectionError):
                await asyncio.to_thread(self.nodes.refresh)
            tried += 1

    async def _ask(self, work: _Round, server: str, positions: list[int]) -> None:
        connection, done = self._take(server), 0
        try:
            await connection.connect()
            await connection.send_packed_command((work.payload(positions),))
            for position in positions:
                try:
                    if work.is_asked(position):
                        await connection.read_response()
                    work.take(position, await connection.read_response())
                except exceptions.ResponseError as error:
                    work.take(position, error)
                done += 1
        except _BROKEN as error:
            _lost(work, positions[done:], error)
        finally:
            if done < len(positions):
                await connection.disconnect(nowait=True)
            self._free[server].append(connection)

    def _take(self, server: str) -> Any:
        try:
            return self._free.setdefault(server, []).pop()
        except IndexError:
            return self.nodes.async_connection(server)


def unavailable(error: object) -> ServiceUnavailable:
    return ServiceUnavailable(f"online features cannot be read: {error}; see whether Redis runs at that URL")


_LIVE: weakref.WeakSet[Exchange] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a child process: its parent goes on using what is connected."""
    for exchange in _LIVE:
        exchange._start()


os.register_at_fork(after_in_child=_forget_connections)
