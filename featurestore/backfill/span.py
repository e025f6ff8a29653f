"""The span of a backfill: which rows it writes, by their event time."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Event times in ``[from_ms, to_ms)``, epoch milliseconds; None is no bound.

    >>> span = Span(from_ms=1_000)
    >>> (999 in span, 1_000 in span, span.text)
    (False, True, '[1000, null]')
    """

    from_ms: int | None = None
    to_ms: int | None = None

    def __contains__(self, time_ms: int) -> bool:
        return (self.from_ms is None or time_ms >= self.from_ms) and (
            self.to_ms is None or time_ms < self.to_ms
        )

    @property
    def text(self) -> str:
        """The span as files of a backfill hold it."""
        return json.dumps([self.from_ms, self.to_ms])
