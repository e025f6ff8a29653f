"""Tokens that requests to the feature server bear: some read, others push."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

from headrace.learners.serving.refusals import Refusal

_BEARER: Final = "bearer "


class FeatureTokens:
    """Checks the header ``Authorization``.

    Parameters
    ----------
    read
        One of which a request for features must bear; empty for none.
    push
        One of which a push must bear. Empty: where features are read with tokens nothing is pushed, else
        anyone pushes.
    """

    def __init__(self, read: Sequence[str], push: Sequence[str]) -> None:
        self._read = [token.encode() for token in read]
        self._push = [token.encode() for token in push]

    def check_read(self, header: str) -> None:
        """Refuse a request for features without its token, with status 401."""
        _check(header, self._read, "feature_tokens")

    def check_push(self, header: str) -> None:
        """Refuse a push without its token, with status 401; with 403 where nothing is pushed."""
        if self._read and not self._push:
            problem = "features are read with tokens here, and none is for pushing rows"
            raise Refusal(403, None, f"{problem}; set push_tokens to tokens of their own, and send one")
        _check(header, self._push, "push_tokens")


def _check(header: str, tokens: Sequence[bytes], setting: str) -> None:
    if not tokens:
        return
    given = header[len(_BEARER) :].strip().encode() if header.lower().startswith(_BEARER) else b""
    if not any([hmac.compare_digest(given, token) for token in tokens]):
        remedy = f"send a token of the setting {setting} as `Authorization: Bearer TOKEN`"
        raise Refusal(401, None, f"the request bears no token of this service; {remedy}")
