"""Kafka sources of a Feast repository, read and checked before their views are known."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from feast.data_source import KafkaSource

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.featurestore.compile.expectations import EXPECT
from headrace.featurestore.compile.message_format import Format, read_message_format
from headrace.featurestore.compile.writer_schemas import WriterSchema, read_writer_schemas
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.errors import DefinitionError
from headrace.schemas.names import PART_REMEDY, part_fault

TimeUnit = Literal["ms", "us"]
_TAGS = ("key", "schema_id", "partitions", "shards", "max_future")


@dataclass(frozen=True)
class EventSource:
    """A Kafka source with the content of its schema.

    Attributes
    ----------
    definition
        For its errors.
    feast
        Feast's `KafkaSource`.
    format, schema
        How messages are written, and the Avro schema in JSON that declares them.
    columns
        The fields of the schema, by name.
    tags
        Those of Headrace, without prefix.
    timestamp_unit
        Unit of the event time.
    writers
        Schemas that older events were written with.
    """

    definition: Definition
    feast: Any
    format: Format
    schema: str
    columns: dict[str, EventColumn]
    tags: dict[str, str]
    timestamp_unit: TimeUnit = "ms"
    writers: tuple[WriterSchema, ...] = ()

    @property
    def name(self) -> str:
        return str(self.feast.name)

    @property
    def timestamp_field(self) -> str:
        return str(self.feast.timestamp_field)

    def column(self, asking: Definition, name: str) -> EventColumn:
        """Return a column by its name; an unknown one is an error of the definition that asks for it."""
        if name not in self.columns:
            raise asking.error(
                f"column '{name}' is not in the event schema of source '{self.name}'",
                suggestion(name, self.columns),
            )
        return self.columns[name]


def read_sources(repository: FeastRepository) -> tuple[dict[str, EventSource], dict[str, DefinitionError]]:
    """Read the Kafka sources by name, with the writer schemas of the repository.

    Returns
    -------
    tuple
        The sources, and the errors of those that cannot be read, both by name. The error of a source that no
        stream feature view reads is a `CannotRun`: it may be meant for Feast alone.

    Raises
    ------
    DefinitionError
        When a writer schema cannot be used.
    """
    sources: dict[str, EventSource] = {}
    errors: dict[str, DefinitionError] = {}
    streamed = {id(view.stream_source) for view in repository.contents.stream_feature_views}
    for source in repository.contents.data_sources:
        if isinstance(source, KafkaSource):
            definition = _definition(repository, source)
            if source.name in (*sources, *errors):
                errors[source.name] = definition.error(
                    "there is another source of this name", "Give each a name of its own"
                )
                continue
            try:
                sources[source.name] = _read_source(definition, source)
            except DefinitionError as error:
                errors[source.name] = (
                    error
                    if id(source) in streamed
                    else definition.cannot_run(
                        f"no stream feature view reads it, and {error.problem}", error.remedy
                    )
                )
    for writer in read_writer_schemas(repository.path, [*sources, *errors]):
        if writer.source in sources:
            source = sources[writer.source]
            sources[writer.source] = replace(source, writers=(*source.writers, writer))
    return sources, errors


def _definition(repository: FeastRepository, source: Any) -> Definition:
    """A source written inside its view is where that is."""
    views = [v for v in repository.contents.stream_feature_views if v.stream_source is source]
    name = f"Kafka source '{source.name}'"
    return Definition(repository.file_of(source, *views), name, repository.line_of(source, *views))


def _read_source(definition: Definition, source: Any) -> EventSource:
    if fault := part_fault(source.name):
        raise definition.error(f"the name is not taken: {fault}", PART_REMEDY)
    if not source.kafka_options.topic:
        raise definition.error("it has no topic", "Write topic=...")
    if source.batch_source is None:
        raise definition.error(
            "it has no batch_source, which Feast asks of every stream source",
            "Write batch_source=FileSource(path=..., timestamp_field='event_timestamp')",
        )
    if source.field_mapping:
        raise definition.cannot_run("field_mapping is not executed", "Use the names of the event schema")
    message_format, schema, columns = read_message_format(definition, source.kafka_options.message_format)
    tags = definition.tags(source.tags, (*_TAGS, *(EXPECT + name for name in columns)))
    event_source = EventSource(definition, source, message_format, schema, columns, tags)
    if "key" in tags:
        event_source.column(definition.part("tag 'headrace.key'"), tags["key"])
    return replace(event_source, timestamp_unit=_timestamp_unit(event_source))


def _timestamp_unit(source: EventSource) -> TimeUnit:
    column = source.column(source.definition.part("timestamp_field"), source.timestamp_field)
    if column.kind != "long" or column.logical_type not in (None, "timestamp-millis", "timestamp-micros"):
        declared = json.dumps({"type": column.kind, "logicalType": column.logical_type})
        raise source.definition.error(
            f"timestamp_field '{column.name}' is {declared}",
            "Make it a long with logicalType timestamp-millis or timestamp-micros",
        )
    return "us" if column.logical_type == "timestamp-micros" else "ms"
