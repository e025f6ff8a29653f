"""HTTP requests whose answer must begin within a time, however slowly a server sends its head.

A time-out of a socket is of each piece of an answer: who sends a byte in time each time has for ever.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.request
from typing import Any


class _TimedAnswer(http.client.HTTPConnection):
    """A connection that ends when the head of an answer takes longer than its time-out."""

    def getresponse(self) -> http.client.HTTPResponse:
        """Return an answer whose head is there, or what there is of it in time."""
        timer = threading.Timer(float(self.timeout or 0), self._end)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()

    def _end(self) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


class _TimedTls(_TimedAnswer, http.client.HTTPSConnection):
    """The same with TLS."""


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_TimedAnswer, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusting = context

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_TimedTls, req, context=self._trusting)


def timed_opener(context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """Return what opens URLs; its time-out is of the whole head of an answer, too.

    Parameters
    ----------
    context
        Of TLS.
    """
    return urllib.request.build_opener(_HttpHandler, _HttpsHandler(context))
