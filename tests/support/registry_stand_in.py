"""Registries for tests: a client that registers schemas, and a stand-in that can be out of order."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.http_stand_in import HttpStandIn


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


class StandIn(HttpStandIn):
    """Answers `schemas` by id, and `answers` by path; while `failing` is set, with that: a status, or a body.

    Parameters
    ----------
    certificate
        PEM file with certificate and key: it speaks TLS then, as ``localhost``.
    """

    def __init__(self, schemas: dict[int, Any] | None = None, certificate: Path | None = None) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}
        self.wanted: str | None = None  # the one authorization that is let in
        self.schemas, self.failing, self.asked = schemas or {}, None, []
        self.failing: int | bytes | None
        self.asked: list[tuple[str, str | None]]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.server.server_port}"

    def respond(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        self.asked.append((path, authorization))
        return (401, b"{}") if self.wanted not in (None, authorization) else self.answer(path)

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
