"""`headrace dead-letters list`: the records that could not be processed or came too late, and their replays.

A dead letter stays in its topic for ever. A *marker* behind it says that its record was replayed: a record
without a value, whose key is the dead letter's id and whose header has the record's new place. So the topic
alone knows what is still open, and a compaction would keep just that.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from headrace.deploy.commands.text_table import text_table
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.printable import printable
from headrace.schemas.records import misfit
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import headers_of

_log = logging.getLogger(__name__)

BEGUN = "headrace.replay-begun"  # its value: the end of the record's partition before it was sent again
REPLAYED = "headrace.replayed"  # of a marker: the record's new place; of that record: the dead letter's id
_SHOWN = 32
_OFFSET = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True)
class Selection:
    """A choice among dead letters; None for any.

    Attributes
    ----------
    topic, partition, kind
        Of the record.
    since_ms, until_ms
        Bounds of the time at which the record was refused, epoch milliseconds; `until_ms` is not part of it.
    """

    topic: str | None = None
    partition: int | None = None
    kind: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, dead_letter: DeadLetter, at_ms: int) -> bool:
        """Tell whether a dead letter that was written at `at_ms` is among the chosen."""
        return (
            self.topic in (None, dead_letter.topic)
            and self.partition in (None, dead_letter.partition)
            and self.kind in (None, dead_letter.kind)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
        )


@dataclass(frozen=True)
class LoggedDeadLetter:
    """A dead letter in its topic, with what is known of a replay.

    Attributes
    ----------
    dead_letter
        The dead letter.
    at_ms
        When it was written, epoch milliseconds.
    replayed
        Where its record was sent again to, ``topic[partition]@offset``; None where it was not.
    begun
        When a replay began and its end is not known: the end of the record's partition before it.
    """

    dead_letter: DeadLetter
    at_ms: int
    replayed: str | None = None
    begun: int | None = None

    @property
    def where(self) -> str:
        """Place of the record, ``topic[partition]@offset``."""
        return f"{self.dead_letter.topic}[{self.dead_letter.partition}]@{self.dead_letter.offset}"


@dataclass
class _Markers:
    replayed: dict[str, str] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)


class DeadLetterLog:
    """Reads the dead letters of one topic, up to its end at the time of the call.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    topic
        The topic of dead letters, or of late records.

    Raises
    ------
    UnknownNameError
        When the topic does not exist.
    ServiceUnavailable
        When the broker does not answer.
    """

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.kafka, self.topic = kafka, topic
        self._end = end_offsets(kafka, [topic])[topic, 0]
        self._markers = _Markers()
        for message in self._messages():
            if message.value() is None:
                self._take_marker(message)

    def find(self, selection: Selection, replayed: bool = False) -> Iterator[LoggedDeadLetter]:
        """Yield dead letters in log order, each once, also where a crash wrote one twice.

        What is no dead letter, or one of a newer Headrace, is left out, with a warning behind the last.

        Parameters
        ----------
        selection
            Which.
        replayed
            Whether to include those whose records were replayed.
        """
        seen: set[int] = set()
        unread: list[str] = []
        for message in self._messages():
            dead_letter = self._dead_letter(message, unread)
            if dead_letter is None:
                continue
            at_ms = message.timestamp()[1]
            new_place = self._markers.replayed.get(dead_letter.id)
            same = hash((dead_letter.id, dead_letter.reason, dead_letter.definition))
            if same in seen or (new_place and not replayed) or not selection.takes(dead_letter, at_ms):
                continue
            seen.add(same)
            yield LoggedDeadLetter(dead_letter, at_ms, new_place, self._markers.begun.get(dead_letter.id))
        if unread:
            _log.warning("%d records are no dead letters and left out, the first %s", len(unread), unread[0])

    def _messages(self) -> Iterator[Any]:
        for message in read_log(self.kafka, self.topic, 0):
            if message.offset() >= self._end:
                return
            yield message

    def _dead_letter(self, message: Any, unread: list[str]) -> DeadLetter | None:
        """Return the dead letter in a message; None of a marker, and of another record, which is noted."""
        if message.value() is None:
            return None
        try:
            dead_letter = DeadLetter.model_validate_json(message.value())
            _ = dead_letter.original_key, dead_letter.original_value, dead_letter.original_headers
            return dead_letter
        except ValueError as error:
            why = misfit(error) if isinstance(error, ValidationError) else str(error)
            unread.append(f"{self.topic}[0]@{message.offset()}: {printable(why)}")
            return None

    def _take_marker(self, message: Any) -> None:
        headers = {name: value or b"" for name, value in headers_of(message)}
        dead_letter = (message.key() or b"").decode(errors="replace")
        if REPLAYED in headers:
            self._markers.replayed[dead_letter] = headers[REPLAYED].decode(errors="replace")
        elif _OFFSET.fullmatch(headers.get(BEGUN, b"")):
            self._markers.begun.setdefault(dead_letter, int(headers[BEGUN]))


def to_json(logged: LoggedDeadLetter) -> str:
    """Render a dead letter as one line of JSON: its record, when it was written, where it was replayed to."""
    return json.dumps(
        logged.dead_letter.model_dump(mode="json") | {"at_ms": logged.at_ms, "replayed": logged.replayed}
    )


def to_table(dead_letters: Iterable[LoggedDeadLetter]) -> str:
    """Render dead letters as text for a terminal."""
    rows = [("record", "refused", "kind", "key", "bytes", "value", "reason")]
    for logged in dead_letters:
        dead_letter, value = logged.dead_letter, logged.dead_letter.original_value
        reason = (
            f"{dead_letter.reason} (replayed: {logged.replayed})" if logged.replayed else dead_letter.reason
        )
        size = "-" if value is None else f"{len(value):,}"
        rows.append(
            (
                logged.where,
                _moment(logged.at_ms),
                dead_letter.kind,
                _preview(dead_letter.original_key),
                size,
                _preview(value),
                reason,
            )
        )
    return "\n".join(text_table(rows))


def _moment(at_ms: int) -> str:
    """Return a time as text. That of a record may be any number, where producers give it."""
    if not EARLIEST_MS <= at_ms <= LATEST_MS:
        return f"{at_ms} ms"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _preview(raw: bytes | None) -> str:
    """Return the beginning of bytes, as text where they are printable, else in hex."""
    if raw is None:
        return "-"
    try:
        text = raw.decode()
        shown = text if text.isprintable() else raw.hex()
    except UnicodeDecodeError:
        shown = raw.hex()
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
