"""The decoder of an event topic, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.schemas.avro import AvroDecoder, Decoded
from headrace.schemas.avro.columns import Kind
from headrace.schemas.feature_specs import SourceSpec


class EventDecoder(Protocol):
    """Payloads of a topic to columns. Columns of all formats have the same kinds and dtypes."""

    def field_kind(self, name: str) -> Kind:
        """The kind of a column; raises `SchemaError` when it is not decoded."""

    def decode(self, payloads: Sequence[bytes | None]) -> Decoded:
        """Decode `n` payloads; those that cannot be are errors, which do not affect the others."""


def event_decoder(source: SourceSpec, fields: Sequence[str]) -> EventDecoder:
    """A decoder for these fields of a source's events.

    Raises
    ------
    SchemaError
        Names what is wrong with the schema or a field, and the remedy.
    """
    if source.format == "json":
        from headrace.schemas.json_events.decoder import (
            JsonDecoder,  # only the stream processes have its parser
        )

        return JsonDecoder(source.reader_schema, fields)
    return AvroDecoder(source.reader_schema, source.writer_schemas, fields)
