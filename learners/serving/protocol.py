"""HTTP connections that are bounded: in number, in bytes before a request is there, and in time.

uvicorn reads the head of a request for as long, and of any length, as a client sends it, and holds a
connection for as long as a client does not read.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.learners.serving.config import HttpLimits
from headrace.learners.serving.refusals import Refusal
from headrace.learners.serving.single_writes import SingleWrites

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
_MAX_PIPELINED = 100

Connections = dict["BoundedProtocol", None]  # the oldest first


def bounded_protocol(limits: HttpLimits, count: Callable[[int], None]) -> type[BoundedProtocol]:
    """Return a protocol for uvicorn.

    Parameters
    ----------
    limits
        Of connections and time.
    count
        Called with the status of each answer that is given without the application.
    """

    class Protocol(BoundedProtocol):
        pass

    Protocol.limits, Protocol.count, Protocol.waiting = limits, staticmethod(count), {}
    return Protocol


class BoundedProtocol(HttpToolsProtocol):
    """A connection of uvicorn; made by `bounded_protocol`."""

    limits: HttpLimits
    count: Callable[[int], None]
    waiting: Connections  # connections that have no request in hand

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._overhead = 0  # bytes since a head was complete, or some of a body came
        self._in_head = True
        self._is_ending = False
        self._fault: Refusal | None = None
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(SingleWrites(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.limits.max_connections and not self._make_room():
            return self._refuse(Refusal(503, None, "too many connections; try again", closes=True))
        self._wait_for_request()

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a request, if there is one."""
        oldest = next(iter(self.waiting), None)
        if oldest is None:
            return False
        del self.waiting[oldest]
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _wait_for_request(self) -> None:
        self.waiting[self] = None
        self._expect(self.limits.request_timeout_s, self._no_request)

    def _expect(self, within_s: float, otherwise: Callable[[], None]) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(within_s, otherwise)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _no_request(self) -> None:
        if self._overhead:
            return self._refuse(Refusal(408, None, "the head of the request takes too long", closes=True))
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and self.parser is not None and not self.transport.is_closing():
            room = MAX_HEAD_BYTES - self._overhead
            piece, data = data[:room], data[room:]
            self._overhead += len(piece)
            super().data_received(piece)
            if self._overhead >= MAX_HEAD_BYTES and not self.transport.is_closing():
                problem = f"its head, or what frames its body, is above {MAX_HEAD_BYTES} bytes"
                self._refuse(Refusal(431, None, f"{problem}; send fewer and shorter headers", closes=True))

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request; called by uvicorn."""
        self._refuse(self._fault or Refusal(400, None, "these bytes are no HTTP/1.1 request", closes=True))

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # behind a chunked body, where nothing reads it
        if len(self.headers) >= MAX_HEADERS:
            self._fault = Refusal(431, None, f"it has above {MAX_HEADERS} headers; send fewer", closes=True)
            raise ValueError(self._fault.message)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._overhead, self._in_head = 0, False
        if self.parser.should_upgrade() and self.parser.get_method() != b"GET":  # its body is not parsed
            message = "it asks for another protocol; send HTTP/1.1 without Upgrade"
            self._fault = Refusal(400, None, message, closes=True)
            raise ValueError(message)
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests without waiting for an answer")
        self._stop_clock()
        self.waiting.pop(self, None)
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        more = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect(self.limits.request_timeout_s, self.transport.abort)
        elif not more:
            self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect(self.limits.request_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_clock()
        super().resume_writing()

    def shutdown(self) -> None:
        """Close the connection, called by uvicorn; a request of which some has come is answered first."""
        if self._overhead and self in self.waiting:
            self._is_ending = True
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """The request is answered as it is."""

    def _refuse(self, refusal: Refusal) -> None:
        if not self.transport.is_closing():
            self.count(refusal.status)
            self.transport.write(refusal.response())
            self._close()

    def _close(self) -> None:
        """Close the connection, whether or not the client reads what is left."""
        self.waiting.pop(self, None)
        self.transport.close()
        self._expect(self.limits.request_timeout_s, self.transport.abort)
