"""Decoding of ranges of an event topic: the columns that its views need, with event times and time marks.

Worker, backfill and audit read records by this one piece of code, and so agree on what a record says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.event_decoder import event_decoder
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.marks import mark_time_ms
from headrace.streams.intake.bisecting_decoder import BisectingDecoder
from headrace.streams.log.records import LogRecords


@dataclass(frozen=True)
class DecodedRange:
    """`n` records, decoded.

    Attributes
    ----------
    columns
        Field name to values and validity, each of shape (n,). Time marks and malformed records are invalid.
    times
        Event times, and times of marks, int64, shape (n,), epoch milliseconds; 0 where there is none.
    timed
        Which records have an event time, bool, shape (n,).
    marks
        Times of time marks, by row.
    malformed
        Reasons why records cannot be decoded, by row.
    """

    columns: dict[str, Column]
    times: NDArray[np.int64]
    timed: NDArray[np.bool_]
    marks: Mapping[int, int]
    malformed: Mapping[int, str]


class RangeDecoder:
    """Decodes the fields that views read or expectations check.

    Parameters
    ----------
    source
        The event topic.
    views
        Stream views on it.

    Attributes
    ----------
    fields
        Names of the fields that are decoded, in order.
    decoder
        Decoder of the payloads.
    """

    def __init__(self, source: SourceSpec, views: Sequence[StreamViewSpec]) -> None:
        self._source = source
        expected = [spec.field for spec in source.expectations]
        read = {name for view in views for name in view.reads}
        self.fields = sorted({source.timestamp_field, *read, *expected})
        self.decoder = event_decoder(source, self.fields)
        self._bisecting = BisectingDecoder(self.decoder, self.fields, source.topic)

    def decode(self, records: LogRecords) -> DecodedRange:
        """Decode records. One that cannot be decoded does not affect the others."""
        decoded = self._bisecting.decode(records.values)
        marks = _marks(records) if None in records.values else {}
        column = decoded.columns[self._source.timestamp_field]
        scale = 1000 if self._source.timestamp_unit == "us" else 1
        times = np.where(column.valid, column.values.astype(np.int64) // scale, 0)
        times[[*marks]] = [*marks.values()]
        malformed = {row: why for row, why in decoded.errors.items() if row not in marks}
        return DecodedRange(decoded.columns, times, column.valid, marks, malformed)


def _marks(records: LogRecords) -> dict[int, int]:
    """Return the times of time marks by row."""
    tombstones = [row for row, value in enumerate(records.values) if value is None]
    times = {row: mark_time_ms(records[row].headers) for row in tombstones}
    return {row: time_ms for row, time_ms in times.items() if time_ms is not None}
