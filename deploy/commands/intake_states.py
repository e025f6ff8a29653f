"""The state of a router's outcome intake, made anew: how far it had read, its clock, its counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import redis

from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.join.config import join_group
from headrace.streams.join.outcome_intake import intake_key
from headrace.streams.join.outcome_reader import IntakeCounts, OutcomeReader
from headrace.streams.join.rebuild import last_marks
from headrace.streams.log.group_offsets import committed_offsets
from headrace.streams.progress import counts_key


def intake_records(
    kafka: Kafka, plan: Plan, router: RouterSpec, counts: Mapping[int, IntakeCounts]
) -> list[tuple[bytes, bytes]]:
    """Return the changelog entries of the event topic that outcomes come out of, as far as it was read.

    Parameters
    ----------
    counts
        By partition, what became of its records.
    """
    if router.outcome is None:
        return []
    source = plan.source(router.outcome.source)
    places = [(source.topic, n) for n in range(partition_count(kafka, source.topic))]
    read = committed_offsets(kafka, join_group(plan.project), places)
    marks = last_marks(kafka, plan.topics.router(router.name).outcomes)
    records = []
    for (topic, number), offset in sorted(read.items()):
        reader = OutcomeReader(source, router.outcome, number, router=router)
        reader.next_offset, reader.clock_ms = offset, marks.get(number)
        reader.counts = counts.get(number, IntakeCounts())
        records.append((intake_key(topic, number), reader.encode()))
    return records


def intake_counts(client: redis.Redis, plan: Plan, router: RouterSpec) -> dict[int, IntakeCounts]:
    """Return what became of the events of each partition, as the joins have told Redis."""
    if router.outcome is None:
        return {}
    begin, names = (
        f"outcomes|{router.name}|{plan.source(router.outcome.source).topic}|",
        {field.name for field in fields(IntakeCounts)},
    )
    raw: Any = client.hgetall(counts_key(plan.project))
    found = {}
    for name, value in raw.items():
        text = name.decode(errors="replace")
        number = text.removeprefix(begin)
        if text.startswith(begin) and number.isdecimal():
            counts = _counts(value)
            if counts is not None and counts.keys() == names:
                found[int(number)] = IntakeCounts(**counts)
    return found


def _counts(value: bytes) -> dict[str, int] | None:
    """Return counts that are whole numbers; None for anything else."""
    try:
        raw = json.loads(value)
    except (ValueError, RecursionError):
        return None
    is_whole = isinstance(raw, dict) and all(type(each) is int and each >= 0 for each in raw.values())
    return raw if is_whole else None
