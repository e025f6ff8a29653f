"""A stand-in for a schema registry, which can be out of order."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

from headrace.testing.http_stand_in import HttpStandIn


class SchemaRegistryStandIn(HttpStandIn):
    """Answers as a Confluent registry does, within its ``with`` block, at `url`.

    Parameters
    ----------
    schemas
        Schemas by id.
    certificate
        PEM file with certificate and key; with one, it speaks TLS as ``localhost``.

    Attributes
    ----------
    answers
        Answers by path, before those made of `schemas`.
    failing
        A status, or a body, to answer with in place of everything else; None for none.
    wanted
        The one ``Authorization`` that is let in; None lets everybody in.
    """

    def __init__(self, schemas: dict[int, Any] | None = None, certificate: Path | None = None) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}
        self.wanted: str | None = None  # the one authorization that is let in
        self.schemas = schemas or {}
        self.failing: int | bytes | None = None
        self.asked: list[tuple[str, str | None]] = []  # path and authorization of each request
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
