"""Dead letters: records that could not be processed, or came too late, with their bytes and the reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Literal, Protocol

from headrace.schemas.records import Record

Kind = Literal["malformed", "invalid", "udf", "future", "late", "orphan", "overflow"]
Headers = Iterable[tuple[str, bytes | None]]


class RefusedRecord(Protocol):
    """A record as its log has it; `timestamp` in epoch milliseconds."""

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
    """A record that could not be processed. `key`, `value` and the values of `headers` are the original bytes
    in base64, `timestamp_ms` is its Kafka timestamp. `definition` is that of the views it was refused for:
    under another one the topic is read anew, and the record judged again.

    One of the kind ``overflow`` is of a sum that does not fit the type of its `feature`, ``view:feature``,
    for an `entity`, in the hop that ends at `window_end_ms` (None: a lifetime). It was found when the log was
    applied up to `offset`, at the event time `timestamp_ms`; that record itself was applied."""

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
    entity: tuple[int | str, ...] = ()  # values of the join keys, in the plan's order
    window_end_ms: int | None = None

    @classmethod
    def of_record(
        cls, topic: str, partition: int, record: RefusedRecord, kind: Kind, reason: str
    ) -> DeadLetter:
        """Return the dead letter of a record of a topic's partition."""
        return cls(
            topic=topic,
            partition=partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            reason=reason,
            kind=kind,
            key=_encoded(record.key),
            value=_encoded(record.value),
            headers=tuple((name, _encoded(value)) for name, value in record.headers),
        )

    @property
    def id(self) -> str:
        """Which record it is, or which sum: two dead letters of one have the same."""
        if self.feature is not None:
            entity = json.dumps(self.entity, ensure_ascii=False)
            return f"{self.topic}/{self.partition}/{self.feature}/{entity}/{self.window_end_ms}"
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def original_key(self) -> bytes | None:
        return _decoded(self.key)

    @property
    def original_value(self) -> bytes | None:
        return _decoded(self.value)

    @property
    def original_headers(self) -> list[tuple[str, bytes | None]]:
        return [(name, _decoded(value)) for name, value in self.headers]


def _encoded(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
