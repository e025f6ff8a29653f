"""How a feature server runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.learners.serving.config import HttpConfig


@dataclass(frozen=True, kw_only=True)
class FeatureServerConfig(HttpConfig):
    """How a feature server runs. Its port is that of Feast's.

    Attributes
    ----------
    tokens
        One of which a request for features must bear; empty for none.
    push_tokens
        One of which a push of rows must bear. Empty: rows are pushed without one, or not at all where
        `tokens` has some.
    """

    port: int = 6566
    tokens: tuple[str, ...] = field(default=(), repr=False)
    push_tokens: tuple[str, ...] = field(default=(), repr=False)
