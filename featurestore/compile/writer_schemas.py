"""Writer schemas in the repository: ``schemas/SOURCE.ID.avsc``, or ``schemas/SOURCE.ANYTHING.avsc``.

Events of the source were written with them before its schema became the present one. The id of a file without
one in its name is the schema's fingerprint, as for a source without the tag `headrace.schema_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.schemas.avro import AvroDecoder, schema_fingerprint
from headrace.schemas.errors import SchemaError
from headrace.schemas.json_events.fields import json_fields
from headrace.schemas.numbers import MOST_SCHEMA_ID

FOLDER = "schemas"


@dataclass(frozen=True)
class WriterSchema:
    """A schema that older events of a source were written with."""

    definition: Definition
    source: str
    schema_id: int
    text: str


def read_writer_schemas(repository: Path, sources: Iterable[str]) -> list[WriterSchema]:
    """Read the schemas of the folder, in order of their file names.

    Parameters
    ----------
    repository
        The Feast repository.
    sources
        Names of its Kafka sources.

    Raises
    ------
    DefinitionError
        When a file belongs to no source, is no schema, or two of a source have one id.
    """
    names = sorted(sources)
    schemas: dict[tuple[str, int], WriterSchema] = {}
    for file in sorted((repository / FOLDER).glob("*.avsc")):
        schema = _read(file, names)
        other = schemas.setdefault((schema.source, schema.schema_id), schema)
        if other.text != schema.text:
            raise schema.definition.error(
                f"it has the schema id {schema.schema_id}, as {other.definition.file} has", "Name another id"
            )
    return list(schemas.values())


def compile_writer_schemas(
    source: Definition,
    schema: str,
    fields: Sequence[str],
    writers: Iterable[WriterSchema],
    tags: Mapping[str, str],
) -> dict[int, str]:
    """Return schema id to schema: that of the source, and those of the folder.

    Parameters
    ----------
    source
        For its errors.
    schema
        The Avro schema of the source.
    fields
        Fields that must be readable from every schema.
    writers
        Schemas of the folder for this source.
    tags
        Those of the source, without prefix.

    Raises
    ------
    DefinitionError
        When a schema cannot be read as that of the source, or has its id.
    """
    tagged = source.whole_number(tags, "schema_id", 0, 0, MOST_SCHEMA_ID) if "schema_id" in tags else None
    own = schema_fingerprint(schema) if tagged is None else tagged
    _check(source, schema, own, schema, fields)
    schemas = {}
    for writer in writers:
        if writer.schema_id == own and schema_fingerprint(writer.text) != schema_fingerprint(schema):
            raise writer.definition.error(
                f"it has the schema id {own}, which is that of the source's own schema", "Name another id"
            )
        _check(writer.definition, schema, writer.schema_id, writer.text, fields)
        schemas[writer.schema_id] = writer.text
    return schemas | {own: schema}


def check_json(
    source: Definition,
    schema: str,
    fields: Sequence[str],
    writers: Sequence[WriterSchema],
    tags: Mapping[str, str],
) -> None:
    """Refuse fields that JSON has no form for, and writer schemas and ids, which JSON events do not have.

    Raises
    ------
    DefinitionError
        With the field, file or tag.
    """
    try:
        json_fields(schema, fields)
    except SchemaError as error:
        raise source.error(
            str(error), "Declare another type, or leave the column out of the views"
        ) from error
    if writers:
        raise writers[0].definition.error(
            "events of the source are JSON, without writer schemas", "Delete it"
        )
    if "schema_id" in tags:
        raise source.part("tag 'headrace.schema_id'").error(
            "its events are JSON, without schema ids", "Take it out"
        )


def _check(definition: Definition, reader: str, schema_id: int, writer: str, fields: Sequence[str]) -> None:
    try:
        AvroDecoder(reader, {schema_id: writer}, fields)
    except SchemaError as error:
        raise definition.error(str(error), "Correct the schema, or the views that read it") from error


def _read(file: Path, sources: list[str]) -> WriterSchema:
    source, _, rest = file.stem.partition(".")
    definition = Definition(f"{FOLDER}/{file.name}", f"writer schema of source '{source}'")
    if source not in sources:
        raise definition.error(f"there is no Kafka source '{source}'", suggestion(source, sources))
    text = file.read_text()
    try:
        schema_id = int(rest) if rest.isascii() and rest.isdigit() else schema_fingerprint(text)
    except SchemaError as error:
        raise definition.error(str(error), "Give the JSON of an Avro record schema") from error
    if schema_id >= 1 << 32:
        raise definition.error(f"schema id {schema_id} is beyond 32 bits", "Name the id of the registry")
    return WriterSchema(definition, source, schema_id, text)
