"""Outcome intake: labels out of the event topics, onto the outcomes topic of a router.

An outcome's id is that of its record unless the router declares a field for it, so that a record read twice
gives the same outcome, which the join recognises. Records that cannot be read are the feature worker's to
put on the dead-letter topic; here they are only counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import SchemaError
from headrace.schemas.event_decoder import event_decoder
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.records import Outcome
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.log.records import LogRecord, LogRecords

STATE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="run the join of that version, or start a new project",
)


@dataclass(frozen=True)
class ClockMark:
    """A mark in an event partition, with the partition's clock there: the greatest time so far."""

    clock_ms: int


@dataclass
class IntakeCounts:
    """What became of the records of an event partition, for one router."""

    outcomes: int = 0
    unlabelled: int = 0
    malformed: int = 0
    future: int = 0
    marks: int = 0


class OutcomeReader:
    """Reads the outcomes of one router out of one partition of an event topic.

    Parameters
    ----------
    source
        The event topic.
    spec
        Which fields hold key, label and id.
    partition
        Which partition of the topic.

    Raises
    ------
    SchemaError
        When the label is a string.
    """

    def __init__(self, source: SourceSpec, spec: OutcomeSpec, partition: int) -> None:
        self._source, self._spec, self._partition = source, spec, partition
        fields = {spec.key_field, spec.label_field, source.timestamp_field, *filter(None, [spec.id_field])}
        self.decoder = event_decoder(source, sorted(fields))
        if self.decoder.field_kind(spec.label_field) == "string":
            raise SchemaError(
                f"source '{source.name}': label field '{spec.label_field}' is a string; a label is a bool or "
                "a number"
            )
        self.counts = IntakeCounts()
        self.clock_ms: int | None = None
        self.next_offset = 0

    def encode(self) -> bytes:
        """State for the changelog."""
        state = {"next": self.next_offset, "clock_ms": self.clock_ms, "counts": asdict(self.counts)}
        return json.dumps({**STATE.stamp(), **state}, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Take up what `encode` gave.

        Raises
        ------
        StateError
            When it has a version that is not read.
        """
        raw: dict[str, Any] = json.loads(state)
        where = f"{self._source.topic}[{self._partition}]"
        STATE.check(raw, f"the state of the outcome intake of {where} in the join's changelog")
        self.next_offset, self.clock_ms = raw["next"], raw["clock_ms"]
        self.counts = IntakeCounts(**raw["counts"])

    def read(self, records: LogRecords) -> list[Outcome | ClockMark]:
        """Return outcomes and marks of the records not read before, in log order."""
        records = records.since(self.next_offset)
        if not records:
            return []
        items = list(self._items(records))
        self.next_offset = int(records.offsets[-1]) + 1
        return items

    def _items(self, records: LogRecords) -> Iterator[Outcome | ClockMark]:
        columns, times = self._columns(records)
        labels, keys = columns[self._spec.label_field], columns[self._spec.key_field]
        ids = columns[self._spec.id_field] if self._spec.id_field else None
        for row, record in enumerate(records):
            mark_ms = mark_time_ms(record.headers) if record.value is None else None
            if mark_ms is not None:
                self.counts.marks += 1
                yield ClockMark(self._advance(mark_ms))
            elif times[row] is None or not keys.valid[row]:
                self.counts.malformed += 1
            elif times[row] - record.timestamp > self._source.max_future_ms:
                self.counts.future += 1
            else:
                self._advance(times[row])
                if not labels.valid[row]:
                    self.counts.unlabelled += 1
                    continue
                self.counts.outcomes += 1
                given = ids is not None and ids.valid[row]
                yield Outcome(
                    outcome_id=_text(ids.values[row]) if ids is not None and given else self._id(record),
                    key=_text(keys.values[row]),
                    label=float(labels.values[row]),
                    ts_ms=times[row],
                )

    def _columns(self, records: LogRecords) -> tuple[dict[str, Column], list[Any]]:
        """Decoded columns, non-finite labels as null, and event times in ms (None where there is none)."""
        columns = dict(self.decoder.decode(records.values).columns)
        label = columns[self._spec.label_field]
        finite = np.isfinite(label.values.astype(np.float64))
        columns[self._spec.label_field] = Column(label.values, label.valid & finite)
        time = columns[self._source.timestamp_field]
        scale = 1000 if self._source.timestamp_unit == "us" else 1
        times: NDArray[Any] = (time.values.astype(np.int64) // scale).astype(object)
        times[~time.valid] = None
        return columns, times.tolist()

    def _advance(self, time_ms: int) -> int:
        self.clock_ms = time_ms if self.clock_ms is None else max(self.clock_ms, time_ms)
        return self.clock_ms

    def _id(self, record: LogRecord) -> str:
        return f"{self._source.topic}/{self._partition}/{record.offset}"


def _text(value: Any) -> str:
    """Return the natural key of a value of a column; raises `RecordError`."""
    return natural_key(value.decode() if isinstance(value, bytes) else value.item())
