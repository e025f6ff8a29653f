"""Progress and counts of the feature stage, for one partition."""

from __future__ import annotations

import json
from collections.abc import Mapping

from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key
from headrace.streams.state.partition import PartitionState


def feature_progress(project: str, topic: str, state: PartitionState) -> list[HashUpdate]:
    """Return progress and counts as of the state's position; `topic` is the event topic."""
    progress = {
        progress_field("features", topic, partition, state.member): Progress(offset).encode()
        for partition, offset in state.source_offsets.items()
    }
    log = progress_field("features", topic, state.partition, state.member)
    return [
        HashUpdate(key, log, state.next_offset, fields, state.state_id)
        for key, fields in ((progress_key(project), progress), (counts_key(project), _counts(topic, state)))
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
