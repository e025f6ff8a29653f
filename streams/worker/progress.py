"""What the feature stage tells of a partition: how far its rows follow the log, and the counts."""

from __future__ import annotations

import json
from dataclasses import asdict

from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key
from headrace.streams.state.partition import Shard, SourcePartition


def feature_progress(project: str, topic: str, state: SourcePartition | Shard) -> list[HashUpdate]:
    """Progress and counts as of the state's position; `topic` is the event topic."""
    if isinstance(state, Shard):
        member = f"shard-{state.partition}"
        progress = {
            progress_field("features", topic, partition, member): Progress(offset).encode()
            for partition, offset in state.heard.items()
        }
        counts = _sums(topic, member, state)
    else:
        member = "direct"
        field_name = progress_field("features", topic, state.partition, member)
        progress = {field_name: Progress(state.next_offset).encode()}
        counts = {f"intake|{topic}|{state.partition}": json.dumps(asdict(state.counts))}
        if expected := state.intake.expectations.counts:
            counts[f"expectations|{topic}|{state.partition}"] = json.dumps(expected)
        counts |= _sums(topic, member, state)
    log = progress_field("features", topic, state.partition, member)
    return [
        HashUpdate(key, log, state.next_offset, fields, state.state_id)
        for key, fields in ((progress_key(project), progress), (counts_key(project), counts))
    ]


def _sums(topic: str, member: str, state: SourcePartition | Shard) -> dict[str, str]:
    """How many sums do not fit as of the prefix before `next`."""
    if state.unfit_sums is None:
        return {}
    told = {"next": state.next_offset, "unfit": state.unfit_sums}
    return {f"sums|{topic}|{member}|{state.partition}": json.dumps(told)}
