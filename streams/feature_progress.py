"""What the feature stage tells of a partition: how far its rows follow the log, and the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from streams.partition_state import Shard, SourcePartition
from streams.progress import Progress, counts_key, progress_field, progress_key


def feature_progress(
    project: str, topic: str, state: SourcePartition | Shard
) -> Mapping[str, Mapping[str, str]]:
    """Progress and counts by Redis hash, as of the state's position; `topic` is the event topic."""
    if isinstance(state, Shard):
        member = f"shard-{state.partition}"
        heard = {
            progress_field("features", topic, partition, member): Progress(offset).encode()
            for partition, offset in state.heard.items()
        }
        return {progress_key(project): heard} if heard else {}
    field_name = progress_field("features", topic, state.partition, "direct")
    counts = {f"intake|{topic}|{state.partition}": json.dumps(asdict(state.counts))}
    return {
        progress_key(project): {field_name: Progress(state.next_offset).encode()},
        counts_key(project): counts,
    }
