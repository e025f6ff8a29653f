"""Past events as records of a partition, out of Kafka, Parquet or CSV, for the window code to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import LogRecord

_OWN = ("_partition", "_offset", "_timestamp")


def from_kafka(kafka: Kafka, topic: str, partition: int, start: int, end: int) -> Iterator[LogRecord]:
    """Records of ``[start, end)`` of a partition."""
    if start >= end:
        return
    for message in read_log(kafka, topic, partition, start):
        if message.offset() >= end:
            return
        yield LogRecord(
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers() or [],
        )


class EventFiles:
    """Events in Parquet or CSV, a column for each field of the event schema that is not null.

    A column ``_offset`` (with ``_partition``, else all are in partition 0) says that these are the records of
    the topic with those offsets. Without it they are numbered in order of event time. ``_timestamp`` is the
    append time in epoch milliseconds; without it, that is the event time.

    Parameters
    ----------
    path
        A file, or a folder of them.
    source
        The event topic they belong to.

    Raises
    ------
    HeadraceError
        When there is no such file, or it has no event times.
    """

    def __init__(self, path: Path, source: SourceSpec) -> None:
        self._source = source
        files = (
            sorted(f for kind in ("parquet", "csv") for f in path.rglob(f"*.{kind}"))
            if path.is_dir()
            else [path]
        )
        if not files:
            raise HeadraceError(f"{path} has no Parquet or CSV file; name a file or folder of events")
        try:
            tables = [_read(file) for file in files]
        except (OSError, pa.ArrowException) as error:
            raise HeadraceError(f"the events in {path} cannot be read: {error}") from error
        self._table = pa.concat_tables(tables, promote_options="permissive")
        if source.timestamp_field not in self._table.column_names:
            raise HeadraceError(
                f"the events in {path} have no column '{source.timestamp_field}', the event time"
            )
        self.has_offsets = "_offset" in self._table.column_names
        order = "_offset" if self.has_offsets else source.timestamp_field
        self._table = self._table.sort_by(order)

    @property
    def partitions(self) -> list[int]:
        if "_partition" not in self._table.column_names:
            return [0]
        return sorted(set(self._table["_partition"].to_pylist()))

    def records(self, partition: int, start: int) -> Iterator[LogRecord]:
        """Records of a partition with offsets of `start` or more."""
        table = self._table
        if "_partition" in table.column_names:
            table = table.filter(pc.equal(table["_partition"], partition))
        number = 0
        for batch in table.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                offset = row.get("_offset", number)
                number += 1
                if offset >= start:
                    yield self._record(row, offset)

    def _record(self, row: dict[str, Any], offset: int) -> LogRecord:
        event = {name: value for name, value in row.items() if name not in _OWN}
        source = self._source
        moment = event[source.timestamp_field]
        if isinstance(moment, datetime):
            moment = round(moment.timestamp() * (1_000_000 if source.timestamp_unit == "us" else 1000))
            event[source.timestamp_field] = moment
        at_ms = moment // 1000 if source.timestamp_unit == "us" else moment
        if source.format == "json":
            value = json.dumps(event, default=str).encode()
        else:
            value = encode_confluent(source.reader_schema, source.schema_id, event)
        return LogRecord(offset, row.get("_timestamp", at_ms), None, value)


def _read(file: Path) -> pa.Table:
    return pyarrow.csv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
