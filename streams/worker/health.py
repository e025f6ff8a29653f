"""Health of a worker's partitions, and the samples that only workers have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.runtime.health import PartitionHealth, Sample
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


def two_partition_samples(sources: Iterable[SourceSpec], rows: Mapping[str, int]) -> tuple[Sample, ...]:
    """Return how many rows of each source replaced one of another partition; 0 is a value as well."""
    meaning = "Rows that replaced one of another partition: their key is in both"
    return tuple(
        Sample("two_partition_rows", meaning, {"source": s.name}, rows.get(s.name, 0), grows=True)
        for s in sources
    )
