"""Health of a worker's partitions."""

from __future__ import annotations

from headrace.streams.runtime.health import PartitionHealth
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.worker.owned_partition import OwnedPartition


def partition_health(
    tp: tuple[str, int], restoring: Restoring, owned: OwnedPartition | None
) -> PartitionHealth:
    """Return the health of a partition; `owned` is None while it is restored."""
    if owned is None:
        return PartitionHealth(*tp, restoring=restoring)
    state = owned.state
    return PartitionHealth(
        *tp,
        state.next_offset,
        restoring,
        state.clock_ms,
        state.record_counts,
        state.key_count,
        owned.ranges,
        state.overflowing_sums,
        state.expectation_counts,
    )
