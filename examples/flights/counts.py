"""A record in is a record out: what the stages counted, held against what was sent."""

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
    """Counts summed over partitions, by ``intake|{topic}`` and ``join|{router}``."""
    raw: Any = client.hgetall(counts_key(project))
    found: Counts = {}
    for name, value in raw.items():
        kind = (name.decode() if isinstance(name, bytes) else name).rpartition("|")[0]
        if kind.startswith(PREFIX_MARK):
            continue
        found.setdefault(kind, Counter()).update(json.loads(value))
    return found


def discrepancies(
    counts: Counts, produced: Mapping[str, int], marks: Mapping[str, int], predictions: int, labels: int
) -> list[str]:
    """What does not add up, in words; nothing when all is well.

    Parameters
    ----------
    produced, marks
        Events and time marks written, by event topic.
    predictions, labels
        Predictions asked for, and how many of their flights arrived.
    """
    found = []
    for topic, events in produced.items():
        seen = counts.get(f"intake|{topic}", Counter())
        out = seen["applied"] + seen["late"] + seen["dead"]
        found += _unequal(f"{topic}: events = applied + late + dead", events, out)
        found += _unequal(f"{topic}: late and dead", 0, seen["late"] + seen["dead"])
        found += _unequal(f"{topic}: time marks", marks[topic], seen["marks"])
    joined = next((c for name, c in counts.items() if name.startswith("join|")), Counter())
    closed = joined["matched"] + joined["negative"] + joined["censored"]
    found += _unequal("predictions = matched + negative + censored", predictions, closed)
    found += _unequal("predictions still pending", 0, joined["pending"])
    found += _unequal("matched = flights that arrived", labels, joined["matched"])
    found += _unequal("examples = matched", joined["matched"], joined["examples"])
    return found


def _unequal(what: str, wanted: int, found: int) -> list[str]:
    return [] if wanted == found else [f"{what}: {wanted:,} expected, {found:,} found"]
