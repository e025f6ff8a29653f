"""What the events of a topic look like to those who produce them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.avro import schema_fingerprint
from schemas.plan import SourceSpec


@dataclass(frozen=True)
class EventFormat:
    """A topic of Avro records in Confluent's wire format.

    Parameters
    ----------
    topic
        Its name.
    schema
        Avro schema of a record, in JSON.
    key_field
        The field that is the Kafka key; without one, events go to any partition.
    timestamp_field
        The event time, which becomes the Kafka timestamp; without one that is the time of sending.
    timestamp_unit
        Of the event time, where it is a number.
    schema_id
        For the header; the schema's fingerprint when None.
    max_future_ms
        How far an event time may be ahead of this machine's clock; None: any distance.
    """

    topic: str
    schema: str
    key_field: str | None = None
    timestamp_field: str | None = None
    timestamp_unit: Literal["ms", "us"] = "ms"
    schema_id: int | None = None
    max_future_ms: int | None = None

    @classmethod
    def of_source(cls, source: SourceSpec) -> EventFormat:
        """The format a source of a plan reads."""
        return cls(
            source.topic,
            source.reader_schema,
            source.key_field,
            source.timestamp_field,
            source.timestamp_unit,
            source.schema_id,
            source.max_future_ms,
        )

    @property
    def written_id(self) -> int:
        """The schema id that is written."""
        return schema_fingerprint(self.schema) if self.schema_id is None else self.schema_id
