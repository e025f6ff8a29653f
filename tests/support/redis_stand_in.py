"""A server that speaks the Redis protocol and answers as a test tells it: late, broken off, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import hiredis

# The bytes that answer a command, given as its words; None breaks the connection off, b"" says nothing.
Answer = Callable[[Sequence[bytes]], bytes | None]
_HANDSHAKE = (b"AUTH", b"CLIENT", b"SELECT", b"READONLY")
_LAST_SLOT = 16383


class RedisStandIn:
    """Listens on a free loopback port.

    It is a server by itself, and to those who ask a cluster of one node.

    Parameters
    ----------
    answer
        Answers each command but those of the handshake. It may block; connections are served side by side.

    Attributes
    ----------
    commands
        All commands that were answered, in order of arrival.
    connections
        How many connections there have been.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.commands: list[Sequence[bytes]] = []
        self.connections = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    @property
    def cluster_url(self) -> str:
        return f"redis+cluster://{self.address}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):  # the client has closed it
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the stand-in has been closed
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while received := connection.recv(65536):
                reader.feed(received)
                while (words := reader.gets()) is not False:
                    if (reply := self._reply(words)) is None:
                        return
                    connection.sendall(reply)

    def _reply(self, words: Sequence[bytes]) -> bytes | None:
        name = words[0].upper()
        if name in _HANDSHAKE:
            return b"+OK\r\n"
        if name == b"COMMAND":  # which commands there are: none that redis-py needs to know
            return b"*0\r\n"
        if name == b"CLUSTER":
            host, _, port = self.address.partition(":")
            node = b"*3\r\n$%d\r\n%s\r\n:%d\r\n$1\r\nn\r\n" % (len(host), host.encode(), int(port))
            return b"*1\r\n*3\r\n:0\r\n:%d\r\n" % _LAST_SLOT + node
        self.commands.append(words)
        return self._answer(words)


def bulk(text: bytes) -> bytes:
    """A reply of one text."""
    return b"$%d\r\n%s\r\n" % (len(text), text)


def command(*words: bytes) -> bytes:
    """A command as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))
