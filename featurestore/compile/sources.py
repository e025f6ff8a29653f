"""Kafka sources of a Feast repository to source specifications of the plan.

Conventions, all in plain Feast objects::

    KafkaSource(
        name="departures",
        topic="flights.departures",
        timestamp_field="departed_at",
        message_format=AvroFormat(schema_json),             # or JsonFormat: an Avro schema, or Spark's text
        watermark_delay_threshold=timedelta(minutes=10),    # allowed lateness
        batch_source=FileSource(...),                       # `apply` puts each view's feature log here
        tags={
            "headrace.key": "carrier",          # the field that is the Kafka message key
            "headrace.schema_id": "7",          # Confluent schema id; else the schema's fingerprint
            "headrace.partitions": "8",         # of the topic; else the setting, or what is found
            "headrace.shards": "4",             # partitions of the shuffle topic
            "headrace.max_future": "60",        # seconds an event may be ahead of its append time
            "headrace.expect.delay": "min=-60", # see `headrace.featurestore.compile.expectations`
        },
    )

Events that were written with other schemas: see `headrace.featurestore.compile.writer_schemas`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from feast.data_source import KafkaSource

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.featurestore.compile.expectations import EXPECT, compile_expectations
from headrace.featurestore.compile.message_format import Format, read_message_format
from headrace.featurestore.compile.writer_schemas import (
    WriterSchema,
    check_json,
    compile_writer_schemas,
    read_writer_schemas,
)
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec

_DEFAULT_SHARDS = 4
_DEFAULT_MAX_FUTURE_S = 60
_TILE_WITHOUT_VIEWS_MS = 60_000  # judges lateness where no hop says how finely
_TAGS = ("key", "schema_id", "partitions", "shards", "max_future")


@dataclass(frozen=True)
class EventSource:
    """A Kafka source with what its schema says, before its views are known.

    `tags` are those of Headrace, without prefix; `writers` are the schemas older events were written with.
    """

    definition: Definition
    feast: Any
    format: Format
    schema: str
    columns: dict[str, EventColumn]
    tags: dict[str, str]
    writers: tuple[WriterSchema, ...] = ()

    @property
    def name(self) -> str:
        return str(self.feast.name)

    def column(self, definition: Definition, name: str) -> EventColumn:
        """A column by its name; the definition that asks for it complains when it is missing."""
        if name not in self.columns:
            raise definition.error(
                f"column '{name}' is not in the event schema of source '{self.name}'",
                suggestion(name, self.columns),
            )
        return self.columns[name]


def read_sources(repository: FeastRepository) -> dict[str, EventSource]:
    """The Kafka sources, checked on their own.

    Raises
    ------
    DefinitionError
        When a source cannot be read by Headrace.
    """
    found: dict[str, EventSource] = {}
    for source in repository.contents.data_sources:
        if isinstance(source, KafkaSource):
            definition = Definition(_file_of(repository, source), f"Kafka source '{source.name}'")
            if source.name in found:
                raise definition.error("there is another source of this name", "Give each a name of its own")
            found[source.name] = _read_source(definition, source)
    for writer in read_writer_schemas(repository.path, found):
        known = found[writer.source]
        found[writer.source] = replace(known, writers=(*known.writers, writer))
    return found


def compile_source(source: EventSource, views: Sequence[StreamViewSpec]) -> SourceSpec:
    """The specification of a source that feeds these views.

    The tile is the greatest common divisor of all hops, so that it divides every one.
    """
    definition, options = source.definition, source.feast.kafka_options
    lateness = options.watermark_delay_threshold or timedelta(0)
    tile_ms = math.gcd(*(a.hop_ms for view in views for a in view.aggregations)) or _TILE_WITHOUT_VIEWS_MS
    key = source.tags.get("key")
    partitions = (
        definition.whole_number(source.tags, "partitions", 0, 1) if "partitions" in source.tags else None
    )
    # With one partition, every key of every view is in it.
    direct = partitions == 1 or all([k.name for k in view.join_keys] == [key] for view in views)
    shards = definition.whole_number(source.tags, "shards", _DEFAULT_SHARDS, 1)
    max_future_s = definition.whole_number(source.tags, "max_future", _DEFAULT_MAX_FUTURE_S, 0)
    return SourceSpec(
        name=source.name,
        topic=options.topic,
        format=source.format,
        reader_schema=source.schema,
        writer_schemas=_writer_schemas(source, views),
        timestamp_field=source.feast.timestamp_field,
        timestamp_unit=timestamp_unit(source),
        key_field=key,
        tile_ms=tile_ms,
        late_tiles=-(-definition.milliseconds("watermark_delay_threshold", lateness) // tile_ms),
        max_future_ms=max_future_s * 1000,
        partitions=partitions,
        shards=0 if direct else shards,
        expectations=compile_expectations(
            definition, source.tags, source.columns, source.feast.timestamp_field
        ),
    )


def _writer_schemas(source: EventSource, views: Sequence[StreamViewSpec]) -> dict[int, str]:
    expected = {name.removeprefix(EXPECT) for name in source.tags if name.startswith(EXPECT)}
    read = {name for view in views for name in view.reads}
    fields = sorted({source.feast.timestamp_field, *read, *expected})
    if source.format == "json":
        check_json(source.definition, source.schema, fields, source.writers, source.tags)
        return {}
    return compile_writer_schemas(source.definition, source.schema, fields, source.writers, source.tags)


def _file_of(repository: FeastRepository, source: Any) -> str:
    """A source written inside its view is in that view's file."""
    views = [v for v in repository.contents.stream_feature_views if v.stream_source is source]
    return repository.file_of(source, *views)


def _read_source(definition: Definition, source: Any) -> EventSource:
    if not source.kafka_options.topic:
        raise definition.error("it has no topic", "Write topic=...")
    if source.batch_source is None:
        raise definition.error(
            "it has no batch_source, which Feast asks of every stream source",
            "Write batch_source=FileSource(path=..., timestamp_field='event_timestamp')",
        )
    if source.field_mapping:
        raise definition.error("field_mapping is not executed", "Use the names of the event schema")
    message_format, schema, columns = read_message_format(definition, source.kafka_options.message_format)
    tags = definition.tags(source.tags, (*_TAGS, *(EXPECT + name for name in columns)))
    event_source = EventSource(definition, source, message_format, schema, columns, tags)
    if "key" in tags:
        event_source.column(definition.part("tag 'headrace.key'"), tags["key"])
    timestamp_unit(event_source)
    return event_source


def timestamp_unit(source: EventSource) -> Literal["ms", "us"]:
    """The unit of its event time; raises `DefinitionError` when it is no time."""
    column = source.column(source.definition.part("timestamp_field"), source.feast.timestamp_field)
    if column.kind != "long" or column.logical_type not in (None, "timestamp-millis", "timestamp-micros"):
        found = json.dumps({"type": column.kind, "logicalType": column.logical_type})
        raise source.definition.error(
            f"timestamp_field '{column.name}' is {found}",
            "Make it a long with logicalType timestamp-millis or timestamp-micros",
        )
    return "us" if column.logical_type == "timestamp-micros" else "ms"
