"""What is asked of every HTTP request before the application sees it, and the count of all answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.learners.serving.config import HttpLimits
from headrace.learners.serving.drain import Drain
from headrace.learners.serving.refusals import Refusal
from headrace.streams.runtime.http_hosts import HttpHosts

_SMALL: Final = 8 * 1024  # a body for which there is always room
_LARGE_AT_ONCE: Final = 8  # bodies of the greatest size; smaller ones in proportion
_LINGER_S: Final = 2.0  # how long a refused body is read on and thrown away, so that the answer arrives
_READINESS: Final = "/readyz"
_CLOSE: Final = (b"connection", b"close")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")  # Python reads no number of thousands of digits
_HEADERS: Final = frozenset([b"host", b"content-type", b"content-length", b"content-encoding"])


class ClientGone(Exception):
    """The client has closed the connection."""


@dataclass
class _Body:
    """Bytes of a body that have come, and those of them that room was taken for."""

    size: int = 0
    taken: int = 0


class Admission:
    """Refuses requests by host, content type, size and time; gives others on with their whole body.

    Parameters
    ----------
    app
        The application.
    paths
        Its paths, by which answers are counted; all others are counted together.
    limits
        What is taken of clients.
    requests
        Counts every answer, by path and status.
    drain
        Once it has begun, the service is not ready, and each answer is the last of its connection.
    """

    def __init__(
        self, app: ASGIApp, paths: Collection[str], limits: HttpLimits, requests: Counter, drain: Drain
    ) -> None:
        self._app, self._paths, self._limits, self._requests = app, frozenset(paths), limits, requests
        self._drain = drain
        self._hosts = HttpHosts(limits.allowed_hosts)
        self._large_bytes = 0  # of bodies in hand that are not small

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"] if scope["path"] in self._paths else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(path, str(message["status"])).inc()
                if self._drain.has_begun and _CLOSE not in message["headers"]:
                    message = {**message, "headers": [*message["headers"], _CLOSE]}
            await send(message)

        with contextlib.suppress(ClientGone):
            await self._answer(scope, receive, counted)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body()
        try:
            self._check(scope)
            content = await self._read(receive, body)
            await self._app(scope, _having(content, receive), send)
        except Refusal as refusal:
            await _refuse(refusal, receive, send)
        finally:
            self._large_bytes -= body.taken

    def _check(self, scope: Scope) -> None:
        """Refuse a request by its head."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _HEADERS and headers.setdefault(name, value) != value:
                name = name.decode()
                raise Refusal(400, None, f"it has two headers {name} that differ; send one", closes=True)
        self._check_host(headers.get(b"host", b"localhost").decode("latin-1"))
        if self._drain.has_begun and scope["path"] == _READINESS:
            raise Refusal(503, None, "this process is ending; ask another", closes=True)
        length = headers.get(b"content-length", b"0")
        if not _LENGTH.fullmatch(length) or int(length) > self._limits.max_body_bytes:
            raise self._too_large(f"{length[:20].decode('latin-1')} bytes")
        if scope["method"] == "POST":
            _check_content(headers)

    def _check_host(self, host: str) -> None:
        if not self._hosts.allows(host):
            remedy = "ask by its address, or add its public name to the setting allowed_hosts"
            raise Refusal(421, None, f"this service is not {host[:100]!a}; {remedy}", closes=True)

    def _too_large(self, size: str) -> Refusal:
        most = self._limits.max_body_bytes
        remedy = "send a smaller batch, or raise the setting max_body_bytes"
        return Refusal(413, None, f"the body has {size}, {most} are taken; {remedy}", closes=True)

    async def _read(self, receive: Receive, body: _Body) -> bytes:
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.request_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    parts.append(message.get("body", b""))
                    self._hold(body, len(parts[-1]))
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError as error:
            within = f"within {self._limits.request_timeout_s:g} s"
            problem = f"the body was not there {within}; send it faster"
            raise Refusal(408, None, problem, closes=True) from error

    def _hold(self, body: _Body, count: int) -> None:
        """Take room for bytes that have come."""
        body.size += count
        if body.size > self._limits.max_body_bytes:
            raise self._too_large(f"more than {self._limits.max_body_bytes} bytes")
        if body.size > _SMALL:
            more = body.size - body.taken
            if self._large_bytes + more > _LARGE_AT_ONCE * self._limits.max_body_bytes:
                raise Refusal(503, None, "too many large requests at once; try again", closes=True)
            self._large_bytes, body.taken = self._large_bytes + more, body.size


def _check_content(headers: dict[bytes, bytes]) -> None:
    """Refuse what a page of another host may send without being asked for leave."""
    sent = headers.get(b"content-type", b"").decode("latin-1")
    kind, _, parameters = sent.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        problem = f"the content type is {sent[:100]!a}; send JSON as application/json, in UTF-8"
        raise Refusal(415, None, problem, closes=True)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Refusal(415, None, "the body is compressed; send it as it is", closes=True)


def _having(content: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a whole body, and then what the client does."""
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def give() -> Message:
        return messages.pop() if messages else await receive()

    return give


async def _refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Answer, and read on for a while: a client that is still sending reads no answer before it is done."""
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.headers()})
    await send({"type": "http.response.body", "body": refusal.body(), "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
