"""Decoders of event topics, by format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.schemas.avro import AvroDecoder, Decoded
from headrace.schemas.avro.columns import Kind
from headrace.schemas.feature_specs import SourceSpec


class EventDecoder(Protocol):
    """Decodes the payloads of a topic into columns. All formats have the same kinds and dtypes of columns."""

    def field_kind(self, name: str) -> Kind:
        """Return the kind of a column.

        Raises
        ------
        SchemaError
            When it is not decoded.
        """

    def decode(self, payloads: Sequence[bytes | None]) -> Decoded:
        """Decode `n` payloads. A payload that cannot be decoded is an error; the others are not affected."""


def event_decoder(source: SourceSpec, fields: Sequence[str]) -> EventDecoder:
    """Return a decoder for fields of a source's events.

    Raises
    ------
    SchemaError
        When the schema or a field cannot be used; names the remedy.
    """
    if source.format == "json":
        from headrace.schemas.json_events.decoder import (
            JsonDecoder,  # only the stream processes have its parser
        )

        return JsonDecoder(source.reader_schema, fields)
    return AvroDecoder(source.reader_schema, source.writer_schemas, fields)
