"""Answers that refuse a request: a status, the field that is wrong, and a sentence that says what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

_MOST = 300  # characters of a field's path


@dataclass(eq=False)
class Refusal(Exception):
    """A request that is not answered as it is.

    Attributes
    ----------
    status
        Of HTTP.
    field
        Path of the value to change; None where it is no field of the body.
    message
        The fault and the remedy.
    closes
        Whether the connection ends with the answer.
    """

    status: int
    field: str | None
    message: str
    closes: bool = False

    def body(self) -> bytes:
        """Return the answer's body, JSON."""
        path = self.field if self.field is None or len(self.field) <= _MOST else self.field[:_MOST] + "…"
        return json.dumps({"field": path, "message": self.message}).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the answer's headers."""
        found = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body()))]
        if self.closes:
            found.append((b"connection", b"close"))
        if self.status == HTTPStatus.UNAUTHORIZED:
            found.append((b"www-authenticate", b"Bearer"))
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            found.append((b"retry-after", b"1"))
        return found

    def response(self) -> bytes:
        """Return the whole answer in HTTP/1.1, after which the connection is to be closed."""
        line = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()
        head = b"\r\n".join([line, *(name + b": " + value for name, value in self.headers())])
        return head + b"\r\n\r\n" + self.body()
