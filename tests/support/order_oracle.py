"""The one order of two logs, found by sorting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Order:
    """An order mark."""

    source: str
    ts: int


def in_one_order(predictions: Sequence[Any], outcomes: Sequence[Any]) -> list[Any]:
    """All events of both, by the greatest time of their log up to there, then predictions, then place."""
    placed = []
    for rank, log in enumerate((predictions, outcomes)):
        for place, event in enumerate(log):
            placed.append((max(one.ts for one in log[: place + 1]), rank, place, event))
    return [event for *_, event in sorted(placed, key=lambda row: row[:3])]
