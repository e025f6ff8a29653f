"""An HTTP server of threads that few slow clients cannot take for themselves."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, Final

_log = logging.getLogger(__name__)
MAX_CONNECTIONS: Final = 32
REQUEST_S: Final = 10.0  # from the first byte to the last of an answer
HEAD_BYTES: Final = 16 * 1024


class TooLong(Exception):
    """The head of a request is above `HEAD_BYTES`."""


class BoundedHead:
    """Reads the lines of one request's head, and no more of them than `HEAD_BYTES`.

    Parameters
    ----------
    lines
        What the connection sends.
    """

    def __init__(self, lines: BufferedIOBase) -> None:
        self._lines, self._left = lines, HEAD_BYTES

    def readline(self, size: int = -1) -> bytes:
        """Read a line, of at most `size` bytes.

        Raises
        ------
        TooLong
            When the head is above its bound.
        """
        line = self._lines.readline(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise TooLong
        return line

    def close(self) -> None:
        """Close the connection's side that is read."""
        self._lines.close()


class BoundedHandler(BaseHTTPRequestHandler):
    """Answers one request whose head is bounded; the base of handlers of `BoundedHttpServer`."""

    def setup(self) -> None:
        """Bound what is read."""
        super().setup()
        self.rfile = BoundedHead(self.rfile)  # type: ignore[assignment]


class BoundedHttpServer(ThreadingHTTPServer):
    """Serves one request a connection, within a time, and so many connections at once.

    Handlers are to be of `BoundedHandler`, so that a head has no more bytes than a probe or a scrape needs.

    A new connection takes the place of the oldest. A probe or a scrape is answered within milliseconds, so
    that what is oldest is what does not send, or does not read.

    Parameters
    ----------
    address
        Host and port.
    handler
        Answers requests.
    max_connections, request_s
        How many connections at once, and how long one may last, seconds.
    """

    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BoundedHandler],
        max_connections: int = MAX_CONNECTIONS,
        request_s: float = REQUEST_S,
    ) -> None:
        self._most, self._request_s = max_connections, request_s
        self._open: dict[Any, float] = {}  # connection to when it ends; the oldest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection, and end the oldest where there are too many."""
        with self._lock:
            if len(self._open) >= self._most:
                self._end(next(iter(self._open)))
            self._open[request] = time.monotonic() + self._request_s
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End connections that have lasted too long; called twice a second."""
        now = time.monotonic()
        with self._lock:
            for connection in [each for each, until in self._open.items() if until < now]:
                self._end(connection)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error of one request; most often the client has gone."""
        _log.debug("a request for metrics or health failed", exc_info=True)

    def _end(self, connection: Any) -> None:
        """Wake the thread that waits for a client; it closes the connection."""
        del self._open[connection]
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
