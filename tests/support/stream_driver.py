"""Drives an event topic, its shuffle and its changelogs without a broker, and crashes them on demand.

Logs are lists. A crash throws a state away in the middle of a checkpoint; the next one is restored from what
had been written of the changelog, and reads again from what had been acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.partition import Effects, Shard, SourcePartition


@dataclass
class Reader:
    """One partition or shard: its log, its state, its changelog, what is acknowledged."""

    make: Any
    log: list[LogRecord]
    state: Any = None
    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    at: int = 0  # next record to fetch
    acked: int = 0

    def __post_init__(self) -> None:
        self.state = self.make()

    def fetch(self, most: int) -> list[LogRecord]:
        records = self.log[self.at : self.at + most]
        self.at += len(records)
        return records

    def checkpoint(self, written: int | None = None) -> None:
        """Write the changelog; only the first `written` entries arrive when the process dies in it."""
        entries = self.state.snapshot()
        self.changelog += entries[:written]
        if written is None or written >= len(entries):
            self.acked = self.at

    def crash(self) -> None:
        self.state = self.make()
        self.state.restore(self.changelog)
        self.at = self.acked


class StreamDriver:
    """All partitions and shards of one source of a plan."""

    def __init__(
        self,
        plan: Plan,
        source: SourceSpec,
        logs: list[list[LogRecord]],
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        self.plan, self.source, udfs = plan, source, transforms or {}
        self.partitions = [
            Reader(lambda p=p: SourcePartition(plan, source, p, udfs), log) for p, log in enumerate(logs)
        ]
        self.shards = [Reader(lambda s=s: Shard(plan, source, s), []) for s in range(source.shards)]
        self.online: dict[tuple[str, tuple], dict[str, Any]] = {}
        self.rejected: dict[tuple[int, int], Any] = {}
        self.unfit: list[Any] = []  # letters of sums

    @property
    def readers(self) -> list[Reader]:
        return [*self.partitions, *self.shards]

    def step(self, reader: Reader, most: int) -> bool:
        """Process one range; False when there was nothing to read."""
        records = reader.fetch(most)
        if not records:
            return False
        self._take(reader.state.process(LogRecords.of(records)))
        if isinstance(reader.state, SourcePartition):
            reader.state.heard_ms = 0
        return True

    def pass_time(self, reader: Reader, now_ms: int) -> None:
        """The wall clock says `now_ms`; it was 0 when a record was processed last."""
        effects = reader.state.pass_time(now_ms)
        if effects is not None:
            self._take(effects)

    def _take(self, effects: Effects) -> None:
        for letter in effects.rejected:
            if letter.kind == "overflow":
                self.unfit.append(letter)
            else:
                self.rejected[letter.partition, letter.offset] = letter
        for shard, block in zip(self.shards, effects.blocks, strict=False):
            shard.log.append(LogRecord(len(shard.log), 0, None, block))
        for rows in effects.rows:
            self._store(rows)

    def drain(self, most: int = 100) -> None:
        for reader in self.readers:
            while self.step(reader, most):
                pass

    def _store(self, rows: OnlineRows) -> None:
        view = self.plan.stream_view(rows.view)
        names = [aggregation.feature for aggregation in view.aggregations]
        for row in range(len(rows)):
            key = tuple(_plain(column, row) for column in rows.keys)
            values = [_plain(values, row) if valid[row] else None for values, valid in rows.features]
            self.online[rows.view, key] = dict(zip(names, values, strict=True))


def _plain(column: Any, row: int) -> Any:
    (value,) = column[row : row + 1].tolist()
    if isinstance(value, list):
        return [one.decode() if isinstance(one, bytes) else one for one in value]
    return value.decode() if isinstance(value, bytes) else value
