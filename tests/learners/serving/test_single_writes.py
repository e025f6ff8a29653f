"""What is written in one go is one write, in its order; nothing is lost at the end of a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace.learners.serving.single_writes import SingleWrites


class Recorder(asyncio.Transport):
    """A real transport that keeps what is written to it."""

    def __init__(self, behind: asyncio.Transport) -> None:
        super().__init__()
        self._behind, self.writes = behind, list[bytes]()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        self._behind.write(data)

    def close(self) -> None:
        self._behind.close()

    def abort(self) -> None:
        self._behind.abort()

    def is_closing(self) -> bool:
        return self._behind.is_closing()


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


async def connected(end: socket.socket) -> tuple[Recorder, SingleWrites]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=end)
    recorder = Recorder(transport)
    return recorder, SingleWrites(recorder, loop)


async def read(end: socket.socket) -> bytes:
    end.setblocking(False)
    return await asyncio.get_running_loop().sock_recv(end, 100)


@pytest.mark.asyncio
async def test_what_is_written_in_one_go_is_one_write() -> None:
    with sockets() as (here, there):
        recorder, transport = await connected(here)
        for part in (b"head ", b"body"):
            transport.write(part)
        assert await read(there) == b"head body"
        transport.write(b"next")
        assert await read(there) == b"next"
        assert recorder.writes == [b"head body", b"next"]
        transport.abort()


@pytest.mark.asyncio
async def test_what_was_written_arrives_before_the_end() -> None:
    with sockets() as (here, there):
        _, transport = await connected(here)
        transport.write(b"last")
        transport.close()
        assert transport.is_closing()
        assert await read(there) == b"last"
        assert await read(there) == b""


@pytest.mark.asyncio
async def test_an_aborted_connection_writes_nothing_more() -> None:
    with sockets() as (here, there):
        recorder, transport = await connected(here)
        transport.write(b"never")
        transport.abort()
        assert await read(there) == b""
        assert recorder.writes == []
