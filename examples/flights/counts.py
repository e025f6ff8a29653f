"""Checks that no record vanishes: the counts of the stages against the records that were sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import redis

from headrace.streams.connections.redis_updates import PREFIX_MARK
from headrace.streams.progress import counts_key

Counts = dict[str, Counter[str]]


def read_counts(client: redis.Redis, project: str) -> Counts:
    """Return counts summed over partitions, by ``intake|{topic}`` and ``join|{router}``."""
    raw: Any = client.hgetall(counts_key(project))
    counts: Counts = {}
    for name, value in raw.items():
        kind = (name.decode() if isinstance(name, bytes) else name).rpartition("|")[0]
        if kind.startswith(PREFIX_MARK):
            continue
        counts.setdefault(kind, Counter()).update(json.loads(value))
    return counts


def discrepancies(
    counts: Counts, produced: Mapping[str, int], marks: Mapping[str, int], predictions: int, labels: int
) -> list[str]:
    """Describe every count that differs from what was sent; empty when none does.

    Parameters
    ----------
    produced, marks
        Events and time marks written, by event topic.
    predictions, labels
        Number of predictions requested, and of their flights that arrived.
    """
    problems = []
    for topic, events in produced.items():
        seen = counts.get(f"intake|{topic}", Counter())
        out = seen["applied"] + seen["late"] + seen["dead"]
        problems += _unequal(f"{topic}: events = applied + late + dead", events, out)
        problems += _unequal(f"{topic}: late and dead", 0, seen["late"] + seen["dead"])
        problems += _unequal(f"{topic}: time marks", marks[topic], seen["marks"])
    joined = next((c for name, c in counts.items() if name.startswith("join|")), Counter())
    closed = joined["matched"] + joined["negative"] + joined["censored"]
    problems += _unequal("predictions = matched + negative + censored", predictions, closed)
    problems += _unequal("predictions still pending", 0, joined["pending"])
    problems += _unequal("matched = flights that arrived", labels, joined["matched"])
    problems += _unequal("examples = matched", joined["matched"], joined["examples"])
    return problems


def _unequal(what: str, expected: int, counted: int) -> list[str]:
    return [] if expected == counted else [f"{what}: {expected:,} expected, {counted:,} found"]
