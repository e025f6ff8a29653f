"""The format of the messages of a Kafka source: Avro, or JSON with a declared schema."""

from __future__ import annotations

from typing import Any, Literal

from feast.data_format import AvroFormat, JsonFormat

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.event_schema import EventColumn, event_columns
from headrace.featurestore.compile.spark_schema import avro_schema_of

Format = Literal["avro", "json"]


def read_message_format(
    definition: Definition, message_format: Any
) -> tuple[Format, str, dict[str, EventColumn]]:
    """Return format, Avro schema in JSON, and columns.

    The schema of `JsonFormat` may be an Avro record schema, or Spark's text that Feast documents.

    Raises
    ------
    DefinitionError
        When the format is another one, or its schema cannot be used.
    """
    if not isinstance(message_format, AvroFormat | JsonFormat):
        raise definition.cannot_run(
            f"its message format is {type(message_format).__name__}",
            "Write message_format=AvroFormat(schema) or JsonFormat(schema)",
        )
    kind: Format = "avro" if isinstance(message_format, AvroFormat) else "json"
    text = message_format.schema_json
    try:
        schema = avro_schema_of(text) if kind == "json" and not text.lstrip().startswith("{") else text
        return kind, schema, event_columns(schema)
    except ValueError as error:
        remedy = " or, for example, 'carrier STRING, departed_at TIMESTAMP'" if kind == "json" else ""
        raise definition.error(
            f"its {'Avro' if kind == 'avro' else 'event'} schema cannot be used ({error})",
            f"Give the JSON of an Avro record schema{remedy}",
        ) from error
