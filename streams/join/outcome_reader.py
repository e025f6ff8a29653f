"""Outcome intake: labels out of the event topics, onto the outcomes topic of a router.

An outcome's id is that of its record unless the router declares a field for it, so that a record read twice
gives the same outcome, which the join recognises. Of records that cannot be read, and those from the future,
the feature worker makes dead letters where a view reads the topic; here they are only counted then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from headrace.schemas.avro import Column, Decoded
from headrace.schemas.dead_letter import DeadLetter, Kind
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import LabelError, RecordError, SchemaError
from headrace.schemas.event_decoder import event_decoder
from headrace.schemas.event_times import time_fault
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.label_reader import read_router_label
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.records import Outcome, misfit
from headrace.schemas.router_specs import OutcomeSpec, RouterSpec
from headrace.streams.intake.bisecting_decoder import BisectingDecoder
from headrace.streams.intake.schema_headers import with_schema_hint
from headrace.streams.log.records import LogRecord, LogRecords

STATE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="run the join of that version, or stop the joins and run `headrace reset --join ROUTER`",
)


@dataclass(frozen=True)
class ClockMark:
    """A mark in an event partition, with the partition's clock there: the greatest time so far."""

    clock_ms: int


@dataclass
class IntakeCounts:
    """What became of the records of an event partition, for one router. `malformed` has those that were
    refused for any reason but a time in the future."""

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
    judged
        Whether a worker judges the records of the topic, and makes dead letters of those that fail.
    router
        Whose target the labels are of; None: any numbers.

    Raises
    ------
    SchemaError
        When the label is a string, and the target no category.
    """

    def __init__(
        self,
        source: SourceSpec,
        spec: OutcomeSpec,
        partition: int,
        judged: bool = False,
        router: RouterSpec | None = None,
    ) -> None:
        self._source, self._spec, self._partition, self._judged = source, spec, partition, judged
        fields = {spec.key_field, spec.label_field, source.timestamp_field, *filter(None, [spec.id_field])}
        self.decoder = event_decoder(source, sorted(fields))
        self._bisecting = BisectingDecoder(self.decoder, sorted(fields), source.topic)
        self._dead_letters: list[DeadLetter] = []
        self._router = router
        is_category = router is not None and router.domain.kind == "category"
        if self.decoder.field_kind(spec.label_field) == "string" and not is_category:
            raise SchemaError(
                f"source '{source.name}': label field '{spec.label_field}' is a string; a label is a bool or "
                "a number, unless the target is a category"
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
            When it is damaged or has a version that is not read.
        """
        what = f"the state of the outcome intake of {self._source.topic}[{self._partition}] in the changelog"
        with STATE.reading(what):
            raw: dict[str, Any] = json.loads(state)
            STATE.check(raw, what)
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

    def take_dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters since the last call."""
        dead_letters, self._dead_letters = self._dead_letters, []
        return dead_letters

    def _items(self, records: LogRecords) -> Iterator[Outcome | ClockMark]:
        decoded = self._bisecting.decode(records.values)
        times = self._times(decoded)
        for row, appended_ms in enumerate(records.appended.tolist()):
            record = records[row]
            try:
                item = self._item(decoded, row, record, times[row], appended_ms)
            except Exception as error:  # a record costs itself, whatever it is that was not foreseen
                why = f"it cannot be judged: {type(error).__name__}: {error}"
                self._refuse(record, "malformed", why, judged=False)
                continue
            if item is not None:
                yield item

    def _item(
        self, decoded: Decoded, row: int, record: LogRecord, time_ms: int | None, appended_ms: int
    ) -> Outcome | ClockMark | None:
        mark = mark_time_ms(record.headers) if record.value is None else None
        time_ms = time_ms if mark is None else mark
        if time_ms is None or (mark is None and row in decoded.errors):
            self._refuse(record, "malformed", decoded.errors.get(row) or "it has no event time")
            return None
        if why := time_fault(time_ms, appended_ms, self._source.max_future_ms):
            self._refuse(record, "future" if time_ms > appended_ms else "invalid", why)
            return None
        if mark is not None:
            self.counts.marks += 1
            return ClockMark(self._advance(mark))
        return self._outcome(decoded.columns, row, record, time_ms)

    def _outcome(
        self, columns: Mapping[str, Column], row: int, record: LogRecord, time_ms: int
    ) -> Outcome | None:
        """Return the outcome of a record with a good time; none without a label, or with a bad one."""
        keys, labels = columns[self._spec.key_field], columns[self._spec.label_field]
        ids = columns[self._spec.id_field] if self._spec.id_field else None
        if not keys.valid[row]:
            self._refuse(record, "malformed", f"{self._spec.key_field}, the natural key, is null")
            return None
        self._advance(time_ms)
        if not labels.valid[row] or labels.values[row] != labels.values[row]:  # NaN, as everywhere, is null
            self.counts.unlabelled += 1
            return None
        try:
            outcome = Outcome(
                outcome_id=self._id(record) if ids is None or not ids.valid[row] else _text(ids.values[row]),
                key=_text(keys.values[row]),
                label=self._label(labels.values[row]),
                ts_ms=time_ms,
            )
        except ValidationError as error:
            self._refuse(record, "invalid", f"no outcome: {misfit(error)}", judged=False)
            return None
        except RecordError as error:
            self._refuse(record, "invalid", str(error), judged=False)
            return None
        self.counts.outcomes += 1
        return outcome

    def _label(self, value: Any) -> float | str:
        """Return the label of a value of a column; raises `RecordError`."""
        found = value.decode(errors="replace") if isinstance(value, bytes) else value.item()
        if self._router is None:
            return float(found)
        try:
            return read_router_label(self._router, found)
        except LabelError as error:
            raise RecordError(f"{self._spec.label_field}: {error}") from error

    def _refuse(self, record: LogRecord, kind: Kind, reason: str, judged: bool | None = None) -> None:
        """Count a record as refused; a dead letter follows where no worker makes it."""
        if kind == "future":
            self.counts.future += 1
        else:
            self.counts.malformed += 1
        if not (self._judged if judged is None else judged):
            topic = self._source.topic
            reason = with_schema_hint(reason, record.headers) if kind == "malformed" else reason
            self._dead_letters.append(DeadLetter.of_record(topic, self._partition, record, kind, reason))

    def _times(self, decoded: Decoded) -> list[int | None]:
        """Return event times, epoch milliseconds; None where there is none."""
        column = decoded.columns[self._source.timestamp_field]
        scale = 1000 if self._source.timestamp_unit == "us" else 1
        times: NDArray[Any] = (column.values.astype(np.int64) // scale).astype(object)
        times[~column.valid] = None
        found: list[int | None] = times.tolist()
        return found

    def _advance(self, time_ms: int) -> int:
        self.clock_ms = time_ms if self.clock_ms is None else max(self.clock_ms, time_ms)
        return self.clock_ms

    def _id(self, record: LogRecord) -> str:
        return f"{self._source.topic}/{self._partition}/{record.offset}"


def _text(value: Any) -> str:
    """Return the natural key of a value of a column; raises `RecordError`."""
    if not isinstance(value, bytes):
        return natural_key(value.item())
    try:
        return natural_key(value.decode())
    except UnicodeDecodeError as error:  # of a field of bytes
        raise RecordError(f"the natural key {value[:40]!r} is no text; send text in UTF-8") from error
