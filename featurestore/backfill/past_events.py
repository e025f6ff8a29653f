"""Past events as records of a partition, out of Kafka, Parquet or CSV, for the window code to read."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import HeadraceError, RecordError
from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import LogRecord, appended_ms

_RECORD_COLUMNS = ("_partition", "_offset", "_timestamp")
_BATCH_ROWS = 4096
_UTC = pa.timestamp("us", "UTC")
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}  # of units with room for more than 64 bits of them
_log = logging.getLogger(__name__)


def from_kafka(kafka: Kafka, topic: str, partition: int, start: int, end: int) -> Iterator[LogRecord]:
    """Read the records ``[start, end)`` of a partition, with append times as workers take them."""
    if start >= end:
        return
    for message in read_log(kafka, topic, partition, start):
        if message.offset() >= end:
            return
        yield replace(LogRecord.of_message(message), timestamp=appended_ms(message))


def appended_before(records: Iterable[LogRecord], to_ms: int | None) -> Iterator[LogRecord]:
    """Pass records on, up to the first that was appended at `to_ms` or later; None passes all.

    >>> records = [LogRecord(offset, 10 * offset, None, None) for offset in range(4)]
    >>> [record.offset for record in appended_before(records, 20)]
    [0, 1]
    """
    for record in records:
        if to_ms is not None and record.timestamp >= to_ms:
            return
        yield record


class EventFiles:
    """Events in Parquet or CSV, with a column for each field of the event schema that is not null.

    With a column ``_offset`` the rows are the records of the topic with those offsets, in the partitions of
    ``_partition`` (0 without it). Without ``_offset`` they are numbered in order of event time.
    ``_timestamp`` is the append time, epoch milliseconds; without it that is the event time.

    Parameters
    ----------
    path
        A file, or a folder of them.
    source
        The event topic they belong to.

    Raises
    ------
    HeadraceError
        When there is no such file, or an event has no time.
    """

    def __init__(self, path: Path, source: SourceSpec) -> None:
        self._source, self._told = source, False
        table = _read_files(path)
        if source.timestamp_field not in table.column_names:
            raise HeadraceError(
                f"the events in {path} have no column '{source.timestamp_field}', the event time "
                f"(found: {', '.join(table.column_names)}); add it"
            )
        table = _with_times(table, path, source)
        self.has_offsets = "_offset" in table.column_names
        self._table = table.sort_by("_offset" if self.has_offsets else source.timestamp_field)

    @property
    def partitions(self) -> list[int]:
        """Partitions that have events."""
        if "_partition" not in self._table.column_names:
            return [0]
        return sorted(set(self._table["_partition"].to_pylist()))

    def records(self, partition: int, start: int) -> Iterator[LogRecord]:
        """Read the records of a partition from an offset on."""
        table = self._table
        if "_partition" in table.column_names:
            table = table.filter(pc.equal(table["_partition"], partition))
        number = 0
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            for row in _rows(batch):
                offset = row.get("_offset", number)
                number += 1
                if offset >= start:
                    yield self._record(row, offset)

    def _record(self, row: dict[str, Any], offset: int) -> LogRecord:
        event = {name: value for name, value in row.items() if name not in _RECORD_COLUMNS}
        source = self._source
        time_ms = event[source.timestamp_field] // (1000 if source.timestamp_unit == "us" else 1)
        if source.format == "json":
            value = json.dumps({n: _as_json(value) for n, value in event.items()}, default=str).encode()
        else:
            value = self._avro(event, offset)
        return LogRecord(offset, row.get("_timestamp", time_ms), None, value)

    def _avro(self, event: dict[str, Any], offset: int) -> bytes:
        """Encode an event. One that does not fit its schema is no record, and dead as such."""
        try:
            return encode_confluent(self._source.reader_schema, self._source.schema_id, event)
        except RecordError as error:
            if not self._told:
                _log.warning("event %d is dead, and others may be: %s", offset, error)
            self._told = True
            return b""


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError) as error:
        raise HeadraceError(
            f"the events have a time of no year from 1 to 9999 ({error}); see the unit of the file's columns"
        ) from error
    return rows


def _with_times(table: pa.Table, path: Path, source: SourceSpec) -> pa.Table:
    """Make event times the numbers that the topic has: of its unit, rounded down.

    Timestamps without a zone are UTC.

    Raises
    ------
    HeadraceError
        When the column holds no times, or a row has none.
    """
    name = source.timestamp_field
    times = table[name]
    if times.null_count:
        raise HeadraceError(f"{times.null_count} events in {path} have no time in column '{name}'; drop them")
    try:
        if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
            times = times.cast(_UTC)  # text with a zone
        if pa.types.is_date(times.type) or pa.types.is_timestamp(times.type):
            instants = _instants_us(times)
            times = pa.array(instants // (1 if source.timestamp_unit == "us" else 1000))
        times = times.cast(pa.int64())
    except pa.ArrowException as error:
        raise HeadraceError(
            f"the events in {path} have {times.type} in column '{name}', which are no event times ({error}); "
            "give timestamps, text with a zone, or whole numbers of the unit of the topic"
        ) from error
    return table.set_column(table.column_names.index(name), name, times)


def _instants_us(times: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return epoch microseconds. A time beyond them is the greatest or least, and so no event time."""
    unit = times.type.unit if pa.types.is_timestamp(times.type) else None
    if unit in _MICROSECONDS:
        factor = _MICROSECONDS[unit]
        most = (2**63 - 1) // factor
        return np.asarray(times.cast(pa.int64())).clip(-most, most) * factor
    return np.asarray(times.cast(pa.timestamp("us"), safe=False).cast(pa.int64()))


def _as_json(value: Any) -> Any:
    """A value that JSON has: null for NaN, and a time as text with its zone."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value


def _read_files(path: Path) -> pa.Table:
    """Read all files of events into one table; a column that a file lacks is null there."""
    files = [path]
    if path.is_dir():
        files = sorted(file for kind in ("parquet", "csv") for file in path.rglob(f"*.{kind}"))
    if not files:
        raise HeadraceError(f"{path} has no Parquet or CSV file; name a file or folder of events")
    try:
        tables = [
            pyarrow.csv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file) for file in files
        ]
    except (OSError, pa.ArrowException) as error:
        raise HeadraceError(
            f"the events in {path} cannot be read: {error}; name Parquet or CSV files of events"
        ) from error
    return pa.concat_tables(tables, promote_options="permissive")
