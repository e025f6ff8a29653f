"""Registries for tests: a client that registers schemas, and a stand-in that can be out of order."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any


def register(
    url: str, subject: str, schema: Any, kind: str = "AVRO", references: Mapping[str, str] | None = None
) -> int:
    """Register a schema as producers do; its id. `references`: name of a type to the subject that has it."""
    body: dict[str, Any] = {"schema": json.dumps(schema)}
    if kind != "AVRO":
        body["schemaType"] = kind
    if references:
        body["references"] = [{"name": n, "subject": s, "version": 1} for n, s in references.items()]
    request = urllib.request.Request(
        f"{url}/subjects/{subject}/versions",
        json.dumps(body).encode(),
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return int(json.load(response)["id"])


class StandIn:
    """Answers `schemas` by id, and `answers` by path; while `failing` is set, with that: a status, or a body.

    Parameters
    ----------
    certificate
        PEM file with certificate and key: it speaks TLS then, as ``localhost``.
    """

    def __init__(self, schemas: dict[int, Any] | None = None, certificate: Path | None = None) -> None:
        self.answers: dict[str, Any] = {}
        self.wanted: str | None = None  # the one authorization that is let in
        self.schemas, self.failing, self.asked = schemas or {}, None, []
        self.failing: int | bytes | None
        self.asked: list[tuple[str, str | None]]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.asked.append((self.path, self.headers["Authorization"]))
                refused = stand_in.wanted not in (None, self.headers["Authorization"])
                status, body = (401, b"{}") if refused else stand_in.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def answer(self, path: str) -> tuple[int, bytes]:
        if isinstance(self.failing, int):
            return self.failing, b"out of order"
        if self.failing is not None:
            return 200, self.failing
        if path in self.answers:
            return 200, json.dumps(self.answers[path]).encode()
        if path.startswith("/subjects/"):
            return 404, b'{"error_code": 40401, "message": "Subject not found"}'
        found = self.schemas.get(int(path.rpartition("/")[2]))
        if found is None:
            return 404, b'{"error_code": 40403, "message": "Schema not found"}'
        return 200, json.dumps({"schema": json.dumps(found)}).encode()

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
