"""A small application behind the door of the router service, on a port, and bytes to knock with."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.deploy.local.child import free_port
from headrace.learners.serving.admission import Admission
from headrace.learners.serving.config import HttpLimits
from headrace.learners.serving.drain import Drain, DrainingServer
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.protocol import bounded_protocol
from tests.support.waiting import PATIENCE_S, eventually


@dataclass
class HttpService:
    """A running service.

    Attributes
    ----------
    bodies
        Sizes of the bodies that the application was given.
    """

    port: int
    server: uvicorn.Server
    metrics: ServiceMetrics
    bodies: list[int] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Answers by status, as counted."""
        found: dict[str, int] = {}
        for family in self.metrics.requests.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    status = sample.labels["status"]
                    found[status] = found.get(status, 0) + int(sample.value)
        return found

    def connect(self) -> Connection:
        return Connection(self.port)

    def ask(self, raw: bytes) -> tuple[int, str]:
        """Status and message of the answer to bytes, on a connection of their own."""
        with self.connect() as connection:
            connection.send(raw)
            return connection.answer()


class Connection:
    """A connection that sends what it is told to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._file = self._socket.makefile("rb")
        self.closes = False

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def answer(self) -> tuple[int, str]:
        """Read one answer: its status, and its message or text."""
        status, raw = self.whole_answer()
        body = json.loads(raw or b"null")
        return status, body["message"] if isinstance(body, dict) and "message" in body else str(body)

    def whole_answer(self) -> tuple[int, bytes]:
        """Read one answer: its status, and its body; note whether the connection ends behind it."""
        status, length = int(self._file.readline().split()[1]), 0
        while line := self._file.readline().strip():
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            self.closes |= (name, value.strip()) == (b"connection", b"close")
        return status, self._file.read(length)

    @property
    def ended(self) -> bool:
        """Wait for more bytes; tell whether the service has closed the connection in their place."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    @property
    def is_closed(self) -> bool:
        """Whether the service has closed the connection, which it does with one that is idle for long."""
        if not select.select([self._socket], [], [], 0)[0]:
            return False
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def http_service(limits: HttpLimits, drain_s: float = 0.0) -> Iterator[HttpService]:
    """A service that tells the size of a body it is posted, and sends many bytes on request."""
    port, metrics, drain = free_port(), ServiceMetrics(), Drain(drain_s)
    bodies: list[int] = []

    async def size(request: Request) -> Response:
        bodies.append(len(await request.body()))
        return JSONResponse(bodies[-1])

    async def much(request: Request) -> Response:
        return Response(bytes(32 * 1024**2))

    async def ready(request: Request) -> Response:
        return JSONResponse("ready")

    routes = [Route("/size", size, methods=["POST"]), Route("/much", much), Route("/readyz", ready)]
    protocol = bounded_protocol(limits, lambda status: metrics.requests.labels("none", str(status)).inc())
    config = uvicorn.Config(
        Admission(Starlette(routes=routes), ["/size", "/much", "/readyz"], limits, metrics.requests, drain),
        port=port,
        http=protocol,
        ws="none",
        log_config=None,
    )
    with listening(server := DrainingServer(config, drain)):
        yield HttpService(port, server, metrics, bodies)
        drain.cut_short()


@contextlib.contextmanager
def listening(server: uvicorn.Server) -> Iterator[None]:
    """Run a server in a thread."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, "a server that listens")
    try:
        yield
        assert thread.is_alive() or server.should_exit
    finally:
        server.should_exit = True
        thread.join()


def post(
    body: bytes = b"{}", headers: bytes = b"", host: bytes = b"localhost", length: int | None = None
) -> bytes:
    """Bytes of a request to ``/size``, with a length of its own where one is given."""
    head = b"POST /size HTTP/1.1\r\nHost: %s\r\n%s" % (host, headers)
    if b"content-type" not in headers.lower():
        head += b"Content-Type: application/json\r\n"
    if b"transfer-encoding" not in headers.lower():
        head += b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    return head + b"\r\n" + body
