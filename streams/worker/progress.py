"""Progress and counts of the feature stage, for one partition."""

from __future__ import annotations

import json
from collections.abc import Mapping

from headrace.schemas.plan import Plan
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key
from headrace.streams.state.partition import PartitionState


def feature_progress(plan: Plan, topic: str, state: PartitionState) -> list[HashUpdate]:
    """Return progress and counts as of the state's position; `topic` is the event topic."""
    offsets = {
        progress_field("features", topic, partition, state.member): offset
        for partition, offset in state.source_offsets.items()
    }
    progress = {name: Progress(offset, plan=plan.hash).encode() for name, offset in offsets.items()}
    log = progress_field("features", topic, state.partition, state.member)
    counts, project = _counts(topic, state), plan.project
    return [
        HashUpdate(key, log, state.next_offset, fields, state.state_id)
        for key, fields in ((progress_key(project), progress), (counts_key(project), counts))
    ]


def _counts(topic: str, state: PartitionState) -> dict[str, str]:
    counts: dict[str, Mapping[str, int]] = {
        f"intake|{topic}|{state.partition}": state.record_counts,
        f"expectations|{topic}|{state.partition}": state.expectation_counts,
        f"sums|{topic}|{state.member}|{state.partition}": _sums(state),
    }
    return {name: json.dumps(count) for name, count in counts.items() if count}


def _sums(state: PartitionState) -> dict[str, int]:
    """Return how many sums do not fit as of the prefix before ``next``."""
    return (
        {} if state.overflowing_sums is None else {"next": state.next_offset, "unfit": state.overflowing_sums}
    )
