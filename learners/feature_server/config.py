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
    """

    port: int = 6566
    tokens: tuple[str, ...] = field(default=(), repr=False)
