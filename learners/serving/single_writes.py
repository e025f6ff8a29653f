"""A transport that makes one write of what is written in one go.

uvicorn writes the head of an answer and its body apart. Each write is a system call, and wakes the client up.
"""

from __future__ import annotations

import asyncio
from typing import Any


class SingleWrites:
    """Wraps a transport; what is written goes out before the event loop looks for input again.

    Parameters
    ----------
    transport
        The transport of a connection.
    loop
        The event loop it belongs to.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write bytes soon."""
        if not self._held:
            self._loop.call_soon(self._write_held)
        self._held.append(data)

    def close(self) -> None:
        """Close the connection once everything is written."""
        self._write_held()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._held.clear()
        self._transport.abort()

    def _write_held(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
