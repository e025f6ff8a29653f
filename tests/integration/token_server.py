"""A server that gives out tokens for a client's id and secret, as OAuth 2.0 has it (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy.secure_listener import AUDIENCE

LIFE_S = 5


class TokenServer:
    """Knows one client, whose name its tokens bear (RFC 7519, HS256).

    Attributes
    ----------
    url
        Where a client asks for a token.
    keys
        File of the key that signs them, as whoever checks them wants it (RFC 7517).
    given
        How many it has given out.
    """

    def __init__(self, folder: Path, client: str, secret: str) -> None:
        self._client = client
        self._known = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        self._key = secrets.token_bytes(32)
        self.keys = folder / "keys.json"
        key = {"kty": "oct", "kid": "tests", "alg": "HS256", "use": "sig", "k": _text(self._key)}
        self.keys.write_text(json.dumps({"keys": [key]}))
        self.given = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> TokenServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and body for a client that shows this."""
        if not hmac.compare_digest(authorization, self._known):
            return 401, {"error": "invalid_client"}
        self.given += 1
        now = int(time.time())
        claims = {"sub": self._client, "aud": AUDIENCE, "iat": now, "exp": now + LIFE_S, "scope": "all"}
        signed = ".".join(
            _text(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "tests"}, claims)
        )
        token = f"{signed}.{_text(hmac.digest(self._key, signed.encode(), 'sha256'))}"
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                status, body = tokens.answer(self.headers["authorization"] or "")
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
