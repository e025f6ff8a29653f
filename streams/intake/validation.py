"""Validation of the records of one event-topic partition: from payloads to accepted columns.

Each record is judged once, whatever views it feeds: dead (malformed, invalid, or from the future), late, or
accepted. The judgement depends on the partition's log prefix alone. A record on which the udf of any view
fails is dead for all views, so that it is counted once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.dead_letter import DeadLetter, Kind
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS, time_fault
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.streams.aggregations.accumulator import Dtype
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.expectations import Expectations
from headrace.streams.intake.range_decoder import DecodedRange, RangeDecoder
from headrace.streams.intake.schema_headers import with_schema_hint
from headrace.streams.intake.udf import Derived, Reasons, Transform, view_udfs
from headrace.streams.intake.value_checks import ValueChecks
from headrace.streams.log.records import LogRecord, LogRecords

_log = logging.getLogger(__name__)

_NEVER = np.iinfo(np.int64).min
_NUMPY_TYPES = {"long": np.int64, "double": np.float64, "boolean": np.bool_, "string": np.bytes_}


@dataclass
class Counts:
    """Numbers of records of a partition that were applied, late, dead, time marks, and lost.

    Lost are those that the topic's retention has deleted before a worker read them.
    """

    applied: int = 0
    late: int = 0
    dead: int = 0
    marks: int = 0
    lost: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name; without `lost` while nothing is."""
        return {name: count for name, count in vars(self).items() if count or name != "lost"}


@dataclass(frozen=True)
class Judged:
    """The records of a range, judged.

    Attributes
    ----------
    batch
        Accepted records, in offset order.
    clock_ms
        Greatest accepted event time or time mark of the partition so far, epoch milliseconds; None before the
        first.
    rejected
        Dead letters of the others, late ones among them.
    derived
        Result of a view's udf for the accepted records, by view.
    """

    batch: Batch
    clock_ms: int | None
    rejected: list[DeadLetter] = field(default_factory=list)
    derived: Mapping[str, Batch] = field(default_factory=dict)

    def merge(self, behind: Judged) -> Judged:
        """Return the judgement of this range and the one behind it as one."""
        derived = {view: Batch.concatenate([of, behind.derived[view]]) for view, of in self.derived.items()}
        batch = Batch.concatenate([self.batch, behind.batch])
        return Judged(batch, behind.clock_ms, self.rejected + behind.rejected, derived)

    def batch_of(self, view: StreamViewSpec) -> Batch:
        """Return the records of a view, with the columns that its features aggregate."""
        return self.derived.get(view.name, self.batch)


class Intake:
    """Decodes and judges the records of one partition.

    Parameters
    ----------
    source
        The event topic.
    views
        Stream views on it; the fields that they read are decoded.
    partition
        Number of the partition.
    transforms
        The udfs, by view. None: no records will be judged.

    Attributes
    ----------
    clock_ms
        Event clock of the partition: the greatest accepted event time or time mark, epoch milliseconds; None
        before the first.
    counts
        How many records were applied, late, dead and so on.
    expectations
        Expectations of fields of the source, with their counts.
    decoder
        Decoder of the events.

    Raises
    ------
    PlanError
        When a view has a udf that `transforms` lacks.
    """

    def __init__(
        self,
        source: SourceSpec,
        views: Sequence[StreamViewSpec],
        partition: int,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        self.source, self.partition = source, partition
        self.clock_ms: int | None = None
        self.counts = Counts()
        self._join_keys = sorted({key.name for view in views for key in view.join_keys})
        self.expectations = Expectations(source.expectations)
        self._ranges = RangeDecoder(source, views)
        self.decoder = self._ranges.decoder
        self._udfs = view_udfs(views, transforms)
        self._checks = ValueChecks.of([view for view in views if view.udf is None])

    def dtype(self, view: StreamViewSpec) -> Dtype:
        """Return a function of the numpy type of each column that a view's features aggregate."""
        derived = {} if view.udf is None else {column.name: column.kind for column in view.udf.outputs}
        return lambda name: _NUMPY_TYPES[derived.get(name) or self.decoder.field_kind(name)]

    def take(self, records: LogRecords) -> Judged:
        """Judge records in offset order, and advance the clock and the counts.

        Records on which judging itself fails are found by halving the range, and are dead letters.
        """
        before = self.clock_ms, replace(self.counts), Counter(self.expectations.counts)
        try:
            return self._judge(records)
        except Exception as error:
            self.clock_ms, self.counts, self.expectations.counts = before
            if not len(records):
                raise
            if len(records) == 1:
                return self._failed(records[0], error)
            _log.exception("judging %d records of %s failed: bisecting", len(records), self.source.topic)
        middle = len(records) // 2
        return self.take(records[:middle]).merge(self.take(records[middle:]))

    def _failed(self, record: LogRecord, error: Exception) -> Judged:
        nothing = self._judge(LogRecords.of([]))
        self._count(0, 0, 1, 0)
        letter = self._dead_letter(
            record, "malformed", f"it cannot be judged: {type(error).__name__}: {error}"
        )
        return replace(nothing, rejected=[letter])

    def _judge(self, records: LogRecords) -> Judged:
        offsets, decoded = records.offsets, self._ranges.decode(records)
        times, marks = decoded.times, decoded.marks
        dead: Reasons = {row: ("malformed", why) for row, why in decoded.malformed.items()}
        self._find_untimed(decoded, dead)
        self._find_unexpected(decoded, dead)
        self._find_invalid(decoded, dead)
        self._find_misplaced(times, records.appended, dead)
        derived = self._derive(decoded, offsets, marks, dead) if self._udfs else {}
        late = self._find_late(times, marks, dead)
        kept = np.ones(len(records), np.bool_)
        kept[[*marks, *dead, *late]] = False
        applied = kept.nonzero()[0]
        self._count(len(applied), len(late), len(dead), len(marks.keys() - dead.keys()))
        rejected = [self._dead_letter(records[row], *why) for row, why in sorted({**dead, **late}.items())]
        accepted = Batch(times, offsets, offsets, decoded.columns)
        accepted = accepted if len(applied) == len(records) else accepted.take(applied)
        of_views = {view: made.batch(kept, times, offsets) for view, made in derived.items()}
        return Judged(accepted, self.clock_ms, rejected, of_views)

    def _find_untimed(self, decoded: DecodedRange, dead: Reasons) -> None:
        """Find records without an event time."""
        for row in _rows(~decoded.timed):
            if row not in decoded.marks:
                dead.setdefault(row, ("invalid", f"{self.source.timestamp_field} is null"))

    def _find_unexpected(self, decoded: DecodedRange, dead: Reasons) -> None:
        """Find records that fail an expectation which refuses them."""
        if self.source.expectations:
            judged = np.ones(len(decoded.times), np.bool_)
            judged[[*decoded.marks, *decoded.malformed]] = False
            for row, why in self.expectations.check(decoded.columns, judged).items():
                dead.setdefault(row, ("invalid", why))

    def _find_invalid(self, decoded: DecodedRange, dead: Reasons) -> None:
        """Find null join keys, numbers that sums cannot hold, and long texts. NaN becomes null."""
        for name in self._join_keys:
            for row in _rows(~decoded.columns[name].valid):
                if row not in decoded.marks:
                    dead.setdefault(row, ("invalid", f"join key {name} is null"))
        for name, column in list(decoded.columns.items()):
            if column.values.dtype == np.float64:
                decoded.columns[name] = Column(column.values, column.valid & ~np.isnan(column.values))
        for row, why in self._checks.failing(decoded.columns):
            dead.setdefault(row, ("invalid", why))

    def _find_misplaced(self, times: NDArray[np.int64], appended: NDArray[np.int64], dead: Reasons) -> None:
        """Find records and marks whose time may not move the clock; see `time_fault`."""
        allowed = self.source.max_future_ms
        for row in _rows((times < EARLIEST_MS) | (times > LATEST_MS)):
            dead.setdefault(row, ("invalid", str(time_fault(int(times[row]), int(appended[row]), allowed))))
        for row in _rows(np.clip(times, EARLIEST_MS, LATEST_MS) - appended > allowed):
            dead.setdefault(row, ("future", str(time_fault(int(times[row]), int(appended[row]), allowed))))

    def _derive(
        self, decoded: DecodedRange, offsets: NDArray[np.int64], marks: Mapping[int, int], dead: Reasons
    ) -> dict[str, Derived]:
        """Run the udfs on records that are not dead.

        Before late records are found: a record on which a udf fails never advances the clock.
        """
        derived = {}
        for udf in self._udfs:
            sound = np.ones(len(offsets), np.bool_)
            sound[[*marks, *dead]] = False
            made = derived[udf.view.name] = udf.derive(np.flatnonzero(sound), offsets, decoded.columns)
            dead.update(made.dead)
        return derived

    def _find_late(self, times: NDArray[np.int64], marks: Mapping[int, int], dead: Reasons) -> Reasons:
        """Return late records; advances the clock to the greatest accepted time."""
        judged = np.ones(len(times), np.bool_)
        judged[list(dead)] = False
        before = _NEVER if self.clock_ms is None else self.clock_ms
        # A late record is behind the clock and never moves it, so the running maximum may include it.
        seen = np.maximum.accumulate(np.concatenate(([before], np.where(judged, times, _NEVER))))
        self.clock_ms = None if seen[-1] == _NEVER else int(seen[-1])
        tile, clock = self.source.tile_ms, seen[:-1]
        late = judged & (clock != _NEVER) & (times // tile < clock // tile - self.source.late_tiles)
        late[list(marks)] = False
        allowed = self.source.late_tiles * tile
        return {
            row: ("late", f"{clock[row] - times[row]} ms behind the partition; {allowed} ms are allowed")
            for row in _rows(late)
        }

    def _dead_letter(self, record: LogRecord, kind: Kind, reason: str) -> DeadLetter:
        if kind == "malformed":
            reason = with_schema_hint(reason, record.headers)
        return DeadLetter.of_record(self.source.topic, self.partition, record, kind, reason)

    def _count(self, applied: int, late: int, dead: int, marks: int) -> None:
        self.counts.applied += applied
        self.counts.late += late
        self.counts.dead += dead
        self.counts.marks += marks


def _rows(mask: NDArray[np.bool_]) -> list[int]:
    """Return the rows where a mask is True."""
    rows: list[int] = mask.nonzero()[0].tolist()
    return rows
