"""A server that gives out tokens for a client's id and secret, as OAuth 2.0 has it (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from pathlib import Path

from headrace.deploy.local.tls_listener import AUDIENCE
from headrace.testing.http_stand_in import HttpStandIn
from tests.support.waiting import eventually

LIFE_S = 5


class TokenServer(HttpStandIn):
    """Knows one client, whose name its tokens bear (RFC 7519, HS256).

    Attributes
    ----------
    url
        Where a client asks for a token.
    keys
        File of the key that signs them, as whoever checks them wants it (RFC 7517).
    given
        When each that it has given out ends, in seconds since 1970.
    """

    def __init__(self, folder: Path, client: str, secret: str) -> None:
        super().__init__()
        self._client = client
        self._known = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        self._key = secrets.token_bytes(32)
        self.keys = folder / "keys.json"
        key = {"kty": "oct", "kid": "tests", "alg": "HS256", "use": "sig", "k": _text(self._key)}
        self.keys.write_text(json.dumps({"keys": [key]}))
        self.given: list[float] = []

    def wait_for_the_next(self) -> None:
        """Wait until all tokens that were given have ended, and another one has been asked for."""
        ends = list(self.given)
        eventually(time.time, f"the end of {len(ends)} tokens", lambda now: now > max(ends))
        eventually(lambda: self.given, "another token", lambda given: len(given) > len(ends))

    def respond(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        if authorization != self._known:
            return 401, b'{"error": "invalid_client"}'
        now = int(time.time())
        self.given.append(now + LIFE_S)
        claims = {"sub": self._client, "aud": AUDIENCE, "iat": now, "exp": now + LIFE_S, "scope": "all"}
        signed = ".".join(
            _text(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "tests"}, claims)
        )
        token = f"{signed}.{_text(hmac.digest(self._key, signed.encode(), 'sha256'))}"
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S}
        return 200, json.dumps(answer).encode()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
