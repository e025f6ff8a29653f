"""Checks of a shuffle block before any of it touches a shard's state, which would take whatever it is given.

Workers write nothing else. Whoever else may write to the topic could.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from headrace.schemas.avro import Column
from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import EARLIEST_MS, time_fault
from headrace.streams.aggregations.accumulator import Dtype
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.value_checks import ValueChecks
from headrace.streams.state.partition import MAX_PARTITIONS
from headrace.streams.state.shuffle import Block
from headrace.streams.state.view_group import ViewGroup


class BlockChecks:
    """Checks that a block could come from the intake of its source.

    Parameters
    ----------
    groups
        The groups of views of the shard.
    dtypes
        By name of a group, the numpy type of a column by its name.
    max_future_ms
        How far ahead of its append time the clock of a block may be.
    """

    def __init__(self, groups: Iterable[ViewGroup], dtypes: dict[str, Dtype], max_future_ms: int) -> None:
        self._groups = {group.name: group for group in groups}
        self._dtypes = {
            name: {column: dtypes[name](column) for column in group.columns}
            for name, group in self._groups.items()
        }
        self._values = {name: ValueChecks.of(group.views) for name, group in self._groups.items()}
        self._max_future_ms = max_future_ms

    def check(self, block: Block, appended_ms: int) -> None:
        """Raise `RecordError` for a block that no worker has made of accepted records."""
        clock_ms = EARLIEST_MS if block.clock_ms is None else block.clock_ms
        if why := time_fault(clock_ms, appended_ms, self._max_future_ms):
            raise RecordError(f"a shuffle block whose clock may not be: {why}")
        if block.groups.keys() != self._groups.keys():
            raise RecordError(f"a shuffle block of other groups of views: {sorted(block.groups)}")
        for name, batch in block.groups.items():
            if fault := self._fault(name, batch, block, clock_ms):
                raise RecordError(f"a shuffle block whose rows of {name} no worker has accepted: {fault}")

    def _fault(self, name: str, batch: Batch, block: Block, clock_ms: int) -> str | None:
        wanted = self._dtypes[name]
        if batch.columns.keys() != wanted.keys():
            return f"columns {sorted(batch.columns)} in place of {sorted(wanted)}"
        for column, kind in wanted.items():
            if not np.issubdtype(batch.columns[column].values.dtype, kind) or not _native(
                batch.columns[column]
            ):
                return f"column {column} is of another type"
        if not len(batch):
            return None
        if int(batch.event_ms.max()) > clock_ms or int(batch.event_ms.min()) < EARLIEST_MS:
            return "events ahead of its clock, or before every time"
        first, end = block.first * MAX_PARTITIONS, block.next_offset * MAX_PARTITIONS
        if int(batch.order.min()) < first or int(batch.order.max()) >= end:
            return "offsets outside its range"
        for key in self._groups[name].join_keys:
            if not batch.columns[key].valid.all():
                return f"join key {key} is null"
        return next((why for _, why in self._values[name].failing(batch.columns)), None)


def _native(column: Column) -> bool:
    """Whether arrays are as this machine has them: bytes in its order, and truths that are 0 or 1."""
    truths = [column.valid, *([column.values] if column.values.dtype == np.bool_ else [])]
    return column.values.dtype.isnative and all((part.view(np.uint8) <= 1).all() for part in truths)
