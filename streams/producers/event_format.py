"""The format of the events of a topic, for producers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.schemas.avro import schema_fingerprint
from headrace.schemas.feature_specs import SourceSpec


@dataclass(frozen=True)
class EventFormat:
    """A topic, and the format of its events.

    Parameters
    ----------
    topic
        Name of the topic.
    schema
        Avro schema of an event, in JSON; it declares JSON events as well.
    key_field
        Field of the Kafka key. None: events go to any partition.
    timestamp_field
        Field of the event time, which becomes the Kafka timestamp. None: that is the time of sending.
    timestamp_unit
        Unit of the event time, where it is a number.
    schema_id
        Schema id in the header of Avro events. None: the fingerprint of the schema.
    max_future_ms
        How far an event time may be ahead of this machine's clock. None: any distance.
    format
        Avro in Confluent's wire format, or JSON objects.
    """

    topic: str
    schema: str
    key_field: str | None = None
    timestamp_field: str | None = None
    timestamp_unit: Literal["ms", "us"] = "ms"
    schema_id: int | None = None
    max_future_ms: int | None = None
    format: Literal["avro", "json"] = "avro"

    @classmethod
    def of_source(cls, source: SourceSpec) -> EventFormat:
        """Return the format that a source of a plan reads."""
        return cls(
            source.topic,
            source.reader_schema,
            source.key_field,
            source.timestamp_field,
            source.timestamp_unit,
            source.schema_id if source.format == "avro" else None,
            source.max_future_ms,
            source.format,
        )

    @property
    def written_id(self) -> int:
        """Schema id in the header of Avro events."""
        return schema_fingerprint(self.schema) if self.schema_id is None else self.schema_id
