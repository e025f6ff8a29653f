"""What the events of a topic look like to those who produce them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.schemas.avro import schema_fingerprint
from headrace.schemas.feature_specs import SourceSpec


@dataclass(frozen=True)
class EventFormat:
    """A topic of events.

    Parameters
    ----------
    topic
        Its name.
    schema
        Avro schema of an event, in JSON; it declares JSON events as well.
    key_field
        The field that is the Kafka key; without one, events go to any partition.
    timestamp_field
        The event time, which becomes the Kafka timestamp; without one that is the time of sending.
    timestamp_unit
        Of the event time, where it is a number.
    schema_id
        For the header of Avro; the schema's fingerprint when None.
    max_future_ms
        How far an event time may be ahead of this machine's clock; None: any distance.
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
        """The format a source of a plan reads."""
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
        """The schema id that is written."""
        return schema_fingerprint(self.schema) if self.schema_id is None else self.schema_id
