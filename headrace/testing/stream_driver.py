"""The stream engine over logs that are lists, without a broker, with crashes on demand.

A crash throws the state of a partition away, also in the middle of a checkpoint. Its successor is restored
from what had been written of the changelog, and reads again from what had been acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.event_times import LATEST_MS
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.partition import Effects, Entry, PartitionState
from headrace.streams.state.shard import Shard
from headrace.streams.state.source_partition import SourcePartition


@dataclass
class LogReader:
    """One partition of a source, or one shard of its shuffle: log, state, changelog and positions.

    Attributes
    ----------
    log
        Records in offset order; more may be appended at any time.
    changelog
        What checkpoints have written.
    position, acknowledged
        Index into `log` of the next record to read, and of the first that is read again after a crash.
    """

    make: Callable[[], PartitionState]
    log: list[LogRecord]
    changelog: list[Entry] = field(default_factory=list)
    position: int = 0
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self.state = self.make()

    def read(self, most: int) -> list[LogRecord]:
        """Return the next records, at most so many, and move the position."""
        records = self.log[self.position : self.position + most]
        self.position += len(records)
        return records

    def checkpoint(self, written: int | None = None) -> None:
        """Write the changelog and acknowledge. When the process dies in it, `written` entries arrive."""
        entries = self.state.snapshot()
        self.changelog += entries[:written]
        if written is None or written >= len(entries):
            self.acknowledged = self.position

    def crash(self) -> None:
        """Lose the state, restore it from the changelog, and go back to what was acknowledged."""
        self.state = self.make()
        self.state.restore(self.changelog)
        self.position = self.acknowledged


class StreamDriver:
    """All partitions and shards of one source of a plan.

    Parameters
    ----------
    plan, source
        What to compute, and of which source.
    logs
        The records of each partition, in offset order; see `EventLog.partitions`.
    transforms
        What executes the udfs of views, by view name.

    Attributes
    ----------
    rows
        Every batch of rows that was emitted, in order.
    dead_letters
        Every record that was turned away and every sum that did not fit, in order.
    """

    def __init__(
        self,
        plan: Plan,
        source: SourceSpec,
        logs: Sequence[list[LogRecord]],
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        self.plan, self.source, udfs = plan, source, transforms or {}
        self.partitions = [
            LogReader(lambda p=p: SourcePartition(plan, source, p, udfs), log)  # type: ignore[misc]
            for p, log in enumerate(logs)
        ]
        self.shards = [
            LogReader(lambda s=s: Shard(plan, source, s), [])  # type: ignore[misc]
            for s in range(source.shards)
        ]
        self.rows: list[OnlineRows] = []
        self.dead_letters: list[DeadLetter] = []

    @property
    def readers(self) -> list[LogReader]:
        """Partitions, then shards."""
        return [*self.partitions, *self.shards]

    def step(self, reader: LogReader, most: int) -> bool:
        """Process the next range of a reader; False when there was nothing to read."""
        records = reader.read(most)
        if not records:
            return False
        self._take(reader.state.process(LogRecords.of(records)))
        reader.state.received(0)
        return True

    def drain(self, most: int = 100) -> None:
        """Process everything, in ranges of at most `most` records."""
        for reader in self.readers:
            while self.step(reader, most):
                pass

    def pass_time(self, reader: LogReader, silence_ms: int) -> None:
        """Let so much time pass in a partition since a record was processed last."""
        effects = reader.state.pass_time(silence_ms)
        if effects is not None:
            self._take(effects)

    def _take(self, effects: Effects) -> None:
        self.dead_letters += effects.rejected
        for shard, block in zip(self.shards, effects.blocks, strict=False):
            shard.log.append(LogRecord(len(shard.log), LATEST_MS, None, block))
        for rows in effects.rows:
            self.store(rows)

    def store(self, rows: OnlineRows) -> None:
        """Take emitted rows; a subclass may do more with them."""
        self.rows.append(rows)
