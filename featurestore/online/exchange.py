"""Exchange of many commands and replies with Redis in one round trip, with one server or several.

The caller packs commands in the Redis protocol. A command may be sent again after a temporary error, so only
commands that may be repeated are exchanged: reads, and writes that do not depend on what was there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from redis import exceptions

from headrace.featurestore.online.pending_commands import PendingCommands
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis import Connection, RedisNodes
from headrace.streams.connections.redis_retry import is_temporary, pause_s

BROKEN_CONNECTION = (exceptions.ConnectionError, exceptions.TimeoutError)


class Exchange:
    """Sends commands and reads their replies. Safe to share among threads, and after a fork.

    Parameters
    ----------
    url
        See `headrace.streams.connections.redis_url`. ``max_connections`` in it is how many requests may be
        under way at once. Further ones wait for their turn, each for its time-out at most.
    timeout_s
        How long a reply may take, in seconds, where the URL has no ``socket_timeout``.
    retries
        How often commands are sent again, where the URL has no ``retries``. In a cluster once more, because a
        redirection is no failure.

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
        self._forget_connections()
        _exchanges.add(self)

    def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        """Exchange commands for their replies, in order.

        Parameters
        ----------
        keys
            The key of each command.
        commands
            Each command in the Redis protocol.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer within the time-out and the retries, refuses a command, or all
            connections stay in use.
        """
        if not self.nodes.clustered:
            return self.send(b"".join(commands), len(commands))
        with self._permit():
            return self._run_in_cluster(PendingCommands(keys, commands))

    def send(self, packed: bytes, count: int) -> list[Any]:
        """Exchange `count` commands that are packed already, where there is one server; see `run`."""
        with self._permit():
            return self._run_at_server(packed, count)

    def close(self) -> None:
        """Close all connections that are not in use."""
        for connections in self._idle.values():
            while connections:
                connections.pop().disconnect()
        self.nodes.close()

    def _forget_connections(self) -> None:
        self._idle: dict[str, list[Connection]] = {}  # by server; the last used is used first
        self._permits = threading.BoundedSemaphore(self.nodes.url.max_connections)

    @contextlib.contextmanager
    def _permit(self) -> Iterator[None]:
        """Wait for the permission to use a connection to each server."""
        if not self._permits.acquire(timeout=self.nodes.timeout_s):
            raise ServiceUnavailable(
                f"all {self.nodes.url.max_connections} connections to the {self.nodes.url} have been in use "
                f"for {self.nodes.timeout_s:g} s; raise max_connections in its URL"
            )
        try:
            yield
        except exceptions.RedisError as error:
            raise unavailable(error) from error
        finally:
            self._permits.release()

    def _run_at_server(self, packed: bytes, count: int) -> list[Any]:
        connection = self._connection("")
        try:
            for failures in range(1, self._tries + 1):
                try:
                    connection.connect()
                    connection.send_packed_command((packed,))
                    read = connection.read_response
                    return [read() for _ in range(count)]
                except BaseException as error:
                    connection.disconnect()  # replies may be left in it
                    if not is_temporary(error) or failures == self._tries:
                        raise
                time.sleep(pause_s(failures))
            raise AssertionError("the last try returns or raises")
        finally:
            self._idle[""].append(connection)

    def _run_in_cluster(self, pending: PendingCommands) -> list[Any]:
        failures = 0
        while True:
            self._exchange(pending, pending.by_server(self.nodes.owner))
            if pending.error is None:
                return pending.replies
            failures += 1
            if failures > self._tries:
                raise pending.error
            time.sleep(pause_s(failures))
            with contextlib.suppress(exceptions.ConnectionError):  # the next try uses what is known
                self.nodes.refresh()

    def _exchange(self, pending: PendingCommands, batches: dict[str, list[int]]) -> None:
        """Send to all servers, then read from each."""
        used: list[tuple[str, list[int], Connection]] = []
        unread: set[int] = set()  # ids of connections in which replies may be left
        try:
            for server, positions in batches.items():
                connection = self._connection(server)
                used.append((server, positions, connection))
                unread.add(id(connection))
                try:
                    connection.connect()
                    connection.send_packed_command((pending.packed(positions),))
                except BROKEN_CONNECTION as error:
                    pending.fail(positions, error)
                    positions.clear()
            for _, positions, connection in used:
                self._read(pending, positions, connection)
                unread.discard(id(connection))
        finally:
            for server, _, connection in used:
                if id(connection) in unread:
                    connection.disconnect()
                self._idle[server].append(connection)

    @staticmethod
    def _read(pending: PendingCommands, positions: list[int], connection: Connection) -> None:
        for done, position in enumerate(positions):
            try:
                if pending.is_redirected(position):
                    with contextlib.suppress(exceptions.ResponseError):  # the command fails as well
                        connection.read_response()
                pending.resolve(position, connection.read_response())
            except BROKEN_CONNECTION as error:
                connection.disconnect()
                pending.fail(positions[done:], error)
                return
            except exceptions.ResponseError as error:
                pending.resolve(position, error)

    def _connection(self, server: str) -> Connection:
        try:
            return self._idle.setdefault(server, []).pop()
        except IndexError:
            return self.nodes.connection(server)


def unavailable(error: object) -> ServiceUnavailable:
    """The error that a request for features raises when Redis does not serve it."""
    return ServiceUnavailable(f"online features cannot be read: {error}; see whether Redis runs at that URL")


_exchanges: weakref.WeakSet[Exchange] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget connections in a child process, whose parent goes on using them."""
    for exchange in _exchanges:
        exchange._forget_connections()


os.register_at_fork(after_in_child=_after_fork)
