"""Encoding of events: from a mapping to the record to write, or an error that names field and remedy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.schemas.avro import ConfluentEncoder
from headrace.schemas.errors import RecordError, SchemaError
from headrace.schemas.json_events.encode import JsonEncoder
from headrace.streams.log.kafka_producer import NOW, KafkaRecord
from headrace.streams.producers.event_format import EventFormat
from headrace.streams.producers.event_validation import RecordValidator

SerializeKey = Callable[[Any], bytes]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_key(value: Any) -> bytes:
    """Return a key as text in UTF-8, as Java's ``StringSerializer`` does; bytes as they are.

    Examples
    --------
    >>> text_key(42), text_key("ada"), text_key(b"raw")
    (b'42', b'ada', b'raw')
    """
    return value if isinstance(value, bytes) else str(value).encode()


class EventEncoder:
    """Encodes the events of one topic.

    Parameters
    ----------
    events
        Topic, schema, key and event time.
    serialize_key
        Makes the Kafka key from the value of the key field.
    max_bytes
        Size of the largest record, in bytes.

    Raises
    ------
    SchemaError
        When the schema is not valid, or lacks the key or the time field.

    Examples
    --------
    >>> schema = '{"type": "record", "name": "click", "fields": [{"name": "user", "type": "string"}]}'
    >>> encoder = EventEncoder(EventFormat("clicks", schema, key_field="user", format="json"))
    >>> record = encoder.encode({"user": "ada"})
    >>> record.key, record.value
    (b'ada', b'{"user":"ada"}')
    >>> encoder.encode({"user": 7})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    headrace.schemas.errors.RecordError: topic 'clicks': field 'user': 7 (int) does not fit string; ...
    """

    def __init__(
        self, events: EventFormat, serialize_key: SerializeKey = text_key, max_bytes: int = 1_000_000
    ) -> None:
        self._format, self._serialize_key, self._max_bytes = events, serialize_key, max_bytes
        self._validator = RecordValidator(events.schema)
        self._encoder: ConfluentEncoder | JsonEncoder = (
            JsonEncoder() if events.format == "json" else ConfluentEncoder(events.schema, events.written_id)
        )
        for field in filter(None, (events.key_field, events.timestamp_field)):
            if field not in self._validator.names:
                raise SchemaError(
                    f"topic '{events.topic}': field '{field}' is not in the schema; "
                    f"its fields: {', '.join(self._validator.names)}"
                )

    def encode(self, event: Mapping[str, Any]) -> KafkaRecord:
        """Encode an event.

        Raises
        ------
        RecordError
            Names topic, field, value and remedy.
        """
        try:
            return self._encode(event)
        except RecordError as error:
            raise RecordError(f"topic '{self._format.topic}': {error}; nothing was sent") from error

    def encode_batch(self, events: Iterable[Mapping[str, Any]]) -> list[KafkaRecord]:
        """Encode all events; see `encode`.

        Raises
        ------
        RecordError
            Names the first event that does not fit, by its position.
        """
        records: list[KafkaRecord] = []
        for event in events:
            try:
                records.append(self._encode(event))
            except RecordError as error:
                raise RecordError(
                    f"topic '{self._format.topic}', event {len(records)} of the batch: {error}; nothing "
                    "of the batch was sent"
                ) from error
        return records

    def check_time(self, what: str, time_ms: int) -> None:
        """Raise unless an event of this topic may have a time.

        Parameters
        ----------
        what
            Names the time in the error.
        time_ms
            Epoch milliseconds.

        Raises
        ------
        RecordError
            When the time is further ahead of the clock than events may be, or before 1970.
        """
        if time_ms <= 0:
            raise RecordError(
                f"{what}: {time_ms} ms is not after 1970, where Kafka's time begins; correct it"
            )
        allowed = self._format.max_future_ms
        if allowed is not None and time_ms > time.time_ns() // 1_000_000 + allowed:
            raise RecordError(
                f"{what}: {time_ms} ms is more than {allowed} ms ahead of this machine's clock; correct one "
                "of the two"
            )

    def _encode(self, event: Mapping[str, Any]) -> KafkaRecord:
        self._validator.check(event)
        value, key_field = self._encoder.encode(event), self._format.key_field
        key = event.get(key_field) if key_field is not None else None
        record = KafkaRecord(value, None if key is None else self._serialize_key(key), self._time_ms(event))
        if len(value) + len(record.key or b"") > self._max_bytes:
            raise RecordError(
                f"{record.size:,} bytes are more than the {self._max_bytes:,} of message.max.bytes; send "
                "less, or raise it here and max.message.bytes of the topic"
            )
        return record

    def _time_ms(self, event: Mapping[str, Any]) -> int:
        field = self._format.timestamp_field
        if field is None:
            return NOW
        value = event.get(field)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise RecordError(f"field '{field}': {value} has no time zone; give it one, such as UTC")
            time_ms = (value - _EPOCH) // timedelta(milliseconds=1)
        elif isinstance(value, int):
            time_ms = value // 1000 if self._format.timestamp_unit == "us" else value
        else:
            raise RecordError(f"field '{field}': {value!r} is no event time; every event needs one")
        self.check_time(f"field '{field}'", time_ms)
        return time_ms
