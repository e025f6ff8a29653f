"""Tokens that requests bear."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from headrace.learners.serving.refusals import Refusal

_BEARER: Final = "bearer "


def check_bearer(header: str, tokens: Sequence[bytes], setting: str) -> None:
    """Refuse a request whose header ``Authorization`` has none of the tokens, with status 401."""
    given = header[len(_BEARER) :].strip().encode() if header.lower().startswith(_BEARER) else b""
    if not any([hmac.compare_digest(given, token) for token in tokens]):
        remedy = f"send a token of the setting {setting} as `Authorization: Bearer TOKEN`"
        raise Refusal(401, None, f"the request bears no token of this service; {remedy}")
