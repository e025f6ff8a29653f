"""Records that could not be processed, or came too late: finding them again, and what became of them since.

A letter stands in its topic for ever. What was replayed is told by a *marker* behind it: a record without a
value whose key is the letter's id and whose header says where the record went. So the topic alone knows what
is still open, and a compaction of it would keep just that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from headrace.deploy.commands.offsets import end_offsets
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import StateError
from headrace.schemas.records import misfit
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import read_log

BEGUN = "headrace.replay-begun"  # its value: the end of the record's partition before it was sent again
REPLAYED = "headrace.replayed"  # of a marker: where the record is now; of that record: the id of the letter
_SHOWN = 32


@dataclass(frozen=True)
class Selection:
    """Which letters are meant. None: any. Times are those of the letter, when the record was refused."""

    topic: str | None = None
    partition: int | None = None
    kind: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: DeadLetter, at_ms: int) -> bool:
        return (
            self.topic in (None, letter.topic)
            and self.partition in (None, letter.partition)
            and self.kind in (None, letter.kind)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
        )


@dataclass(frozen=True)
class FoundLetter:
    """A letter, the time it was written, and where its record was sent again to: ``topic[partition]@offset``.

    `begun` is set when a replay began to send it and did not say how that ended: the end of the record's
    partition before.
    """

    letter: DeadLetter
    at_ms: int
    replayed: str | None = None
    begun: int | None = None

    @property
    def where(self) -> str:
        return f"{self.letter.topic}[{self.letter.partition}]@{self.letter.offset}"


@dataclass
class _Markers:
    replayed: dict[str, str] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)


class DeadLetterLog:
    """The letters of one topic, up to its end at the time of the call.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    topic
        The topic of dead letters, or of late records.

    Raises
    ------
    UnknownNameError
        When there is no such topic.
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

    def find(self, selection: Selection, replayed: bool = False) -> Iterator[FoundLetter]:
        """Letters in log order, those of replayed records too if so wanted. A letter that a crash wrote twice
        comes once.

        Raises
        ------
        StateError
            When one is of a newer Headrace.
        """
        seen: set[int] = set()
        for message in self._messages():
            if message.value() is None:
                continue
            letter, at_ms = self._letter(message), message.timestamp()[1]
            now_at = self._markers.replayed.get(letter.id)
            same = hash((letter.id, letter.reason, letter.definition))
            if same in seen or (now_at and not replayed) or not selection.takes(letter, at_ms):
                continue
            seen.add(same)
            yield FoundLetter(letter, at_ms, now_at, self._markers.begun.get(letter.id))

    def _messages(self) -> Iterator[Any]:
        for message in read_log(self.kafka, self.topic, 0):
            if message.offset() >= self._end:
                return
            yield message

    def _letter(self, message: Any) -> DeadLetter:
        try:
            return DeadLetter.model_validate_json(message.value())
        except ValidationError as error:
            where = f"{self.topic}[0]@{message.offset()}"
            raise StateError(f"the dead letter {where} cannot be read: {misfit(error)}") from error

    def _take_marker(self, message: Any) -> None:
        letter, headers = message.key().decode(), dict(message.headers() or ())
        if REPLAYED in headers:
            self._markers.replayed[letter] = headers[REPLAYED].decode()
        elif BEGUN in headers:
            self._markers.begun.setdefault(letter, int(headers[BEGUN]))


def to_json(found: FoundLetter) -> str:
    """A letter as one line: its record, when it was written, and where it was replayed to."""
    return json.dumps(
        found.letter.model_dump(mode="json") | {"at_ms": found.at_ms, "replayed": found.replayed}
    )


def to_table(letters: Iterable[FoundLetter]) -> str:
    """Letters as text for a terminal."""
    rows = [("record", "refused", "kind", "key", "bytes", "value", "reason")]
    for found in letters:
        letter, value = found.letter, found.letter.original_value
        at = datetime.fromtimestamp(found.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        reason = f"{letter.reason} (replayed: {found.replayed})" if found.replayed else letter.reason
        size = "-" if value is None else f"{len(value):,}"
        rows.append(
            (found.where, at, letter.kind, _preview(letter.original_key), size, _preview(value), reason)
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _preview(raw: bytes | None) -> str:
    """The beginning of some bytes: as text where they are printable, else in hex."""
    if raw is None:
        return "-"
    try:
        text = raw.decode()
        shown = text if text.isprintable() else raw.hex()
    except UnicodeDecodeError:
        shown = raw.hex()
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
