"""Dead letters: records that could not be processed, or came too late, with their bytes and the reason."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Literal, Protocol

from headrace.schemas.records import Record

Kind = Literal["malformed", "invalid", "udf", "future", "late", "orphan", "over_quota", "overflow"]
Headers = Iterable[tuple[str, bytes | None]]
_MOST_BYTES = 7_900_000  # of key, value and headers as they are written: with the rest, below 8 MiB
_ESCAPED = 6  # characters of a letter for one byte of a header's name, such as \\u0001
_AROUND = 12  # for a header whatever it holds
_MOST_REASON = 4_000  # characters


class RefusedRecord(Protocol):
    """A record read from a log; `timestamp` in epoch milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class DeadLetter(Record):
    """A record that could not be processed, or a sum that does not fit the type of its feature.

    Attributes
    ----------
    topic, partition, offset
        Position of the record. For a sum: the offset up to which the log was applied when it was found.
    timestamp_ms
        Kafka timestamp of the record. For a sum: the event time at which it was found.
    reason
        Why it was refused, with the remedy.
    kind
        Kind of the reason; ``overflow`` for a sum.
    key, value, headers
        Bytes of the record, in base64; `value` is None for a sum, and where `omitted` names it.
    omitted
        What the letter leaves out, because it would be too large for its topic: ``value``, ``key`` or
        ``headers``, each with the number of its bytes and their SHA-256. The record itself is in its topic.
    definition
        Definition of the views the record was refused for. Under another definition the topic is read again
        from its beginning, and the record judged again.
    feature
        Feature of a sum, ``view:feature``.
    entity
        Values of the join keys of a sum, in the plan's order.
    window_end_ms
        End of the hop of a sum, epoch milliseconds; None for a lifetime.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> record = SimpleNamespace(offset=7, timestamp=1_000, key=b"ada", value=b"?", headers=())
    >>> late = DeadLetter.of_record("clicks", 3, record, "late", "2,000 ms behind the partition")
    >>> late.id, late.key, late.original_key
    ('clicks/3/7', 'YWRh', b'ada')
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    kind: Kind
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str | None], ...] = ()
    definition: str | None = None
    feature: str | None = None
    entity: tuple[int | str, ...] = ()
    window_end_ms: int | None = None
    omitted: tuple[str, ...] = ()

    @classmethod
    def of_record(
        cls, topic: str, partition: int, record: RefusedRecord, kind: Kind, reason: str
    ) -> DeadLetter:
        """Return the dead letter of a record of a topic's partition."""
        parts = _Parts(record)
        return cls(
            topic=topic,
            partition=partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            reason=reason if len(reason) <= _MOST_REASON else f"{reason[:_MOST_REASON]}…",
            kind=kind,
            key=_encoded(parts.key),
            value=_encoded(parts.value),
            headers=tuple((name, _encoded(value)) for name, value in parts.headers),
            omitted=tuple(parts.omitted),
        )

    def to_bytes(self) -> bytes:
        """Encode the dead letter as JSON in UTF-8; `omitted` is there only where something is."""
        return self.model_dump_json(exclude=None if self.omitted else {"omitted"}).encode()

    @property
    def id(self) -> str:
        """Identity of the record or sum: two dead letters of one have the same."""
        if self.feature is not None:
            entity = json.dumps(self.entity, ensure_ascii=False)
            return f"{self.topic}/{self.partition}/{self.feature}/{entity}/{self.window_end_ms}"
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def original_key(self) -> bytes | None:
        """Key of the record."""
        return _decoded(self.key)

    @property
    def original_value(self) -> bytes | None:
        """Value of the record."""
        return _decoded(self.value)

    @property
    def original_headers(self) -> list[tuple[str, bytes | None]]:
        """Headers of the record."""
        return [(name, _decoded(value)) for name, value in self.headers]


class _Parts:
    """Key, value and headers of a record, the largest of them left out until the rest is small enough."""

    def __init__(self, record: RefusedRecord) -> None:
        self.key, self.value, self.headers = record.key, record.value, tuple(record.headers)
        self.omitted: list[str] = []
        sizes = {"value": _size(self.value), "key": _size(self.key), "headers": _size_of(self.headers)}
        while sum(sizes.values()) > _MOST_BYTES:
            largest = max(sizes, key=lambda name: sizes[name])
            del sizes[largest]
            self.omitted.append(_told(largest, self._raw(largest)))
            setattr(self, largest, () if largest == "headers" else None)

    def _raw(self, part: str) -> bytes:
        if part == "headers":
            return b"".join(name.encode() + (value or b"") for name, value in self.headers)
        return (self.value if part == "value" else self.key) or b""


def _size(raw: bytes | None) -> int:
    """Return the length in base64."""
    return (len(raw or b"") + 2) // 3 * 4


def _size_of(headers: Headers) -> int:
    """Return the length of headers in a letter, at most. There may be many, and they may be empty."""
    return sum(_ESCAPED * len(name.encode()) + _size(value) + _AROUND for name, value in headers)


def _told(name: str, raw: bytes) -> str:
    return f"{name}: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}"


def _encoded(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
