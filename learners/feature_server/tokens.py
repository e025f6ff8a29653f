"""Tokens that requests to the feature server bear: some read, others push."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.learners.serving.bearer import check_bearer
from headrace.learners.serving.refusals import Refusal


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
        if self._read:
            check_bearer(header, self._read, "feature_tokens")

    def check_push(self, header: str) -> None:
        """Refuse a push without its token, with status 401; with 403 where nothing is pushed."""
        if self._read and not self._push:
            problem = "features are read with tokens here, and none is for pushing rows"
            raise Refusal(403, None, f"{problem}; set push_tokens to tokens of their own, and send one")
        if self._push:
            check_bearer(header, self._push, "push_tokens")
