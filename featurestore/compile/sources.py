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

import math
from collections.abc import Sequence
from datetime import timedelta

from headrace.featurestore.compile.event_source import EventSource
from headrace.featurestore.compile.expectations import EXPECT, compile_expectations
from headrace.featurestore.compile.writer_schemas import check_json, compile_writer_schemas
from headrace.schemas.event_times import DEFAULT_MAX_FUTURE_MS
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.marks import MOST_PARTITIONS
from headrace.schemas.numbers import LONGEST_MS

_DEFAULT_SHARDS = 4
_TILE_WITHOUT_VIEWS_MS = 60_000  # judges lateness where no hop says how finely


def compile_source(source: EventSource, views: Sequence[StreamViewSpec]) -> SourceSpec:
    """Compile a source that feeds these views.

    Raises
    ------
    DefinitionError
        When a tag has a value that cannot be used, or a schema lacks a field that a view needs.
    """
    definition, tags = source.definition, source.tags
    partitions = None
    if "partitions" in tags:
        partitions = definition.whole_number(tags, "partitions", 0, 1, MOST_PARTITIONS)
    tile_ms = _tile_ms(views)
    return SourceSpec(
        name=source.name,
        topic=source.feast.kafka_options.topic,
        format=source.format,
        reader_schema=source.schema,
        writer_schemas=_writer_schemas(source, views),
        timestamp_field=source.timestamp_field,
        timestamp_unit=source.timestamp_unit,
        key_field=tags.get("key"),
        tile_ms=tile_ms,
        late_tiles=_late_tiles(source, tile_ms),
        max_future_ms=1000 * _max_future_s(source),
        partitions=partitions,
        shards=_shards(source, views, partitions),
        expectations=compile_expectations(definition, tags, source.columns, source.timestamp_field),
    )


def _tile_ms(views: Sequence[StreamViewSpec]) -> int:
    """The greatest common divisor of all hops: it divides every one."""
    hops_ms = (aggregation.hop_ms for view in views for aggregation in view.aggregations)
    return math.gcd(*hops_ms) or _TILE_WITHOUT_VIEWS_MS


def _late_tiles(source: EventSource, tile_ms: int) -> int:
    """Allowed lateness in whole tiles, rounded up."""
    lateness = source.feast.kafka_options.watermark_delay_threshold or timedelta(0)
    return -(-source.definition.milliseconds("watermark_delay_threshold", lateness) // tile_ms)


def _max_future_s(source: EventSource) -> int:
    default_s, most_s = DEFAULT_MAX_FUTURE_MS // 1000, LONGEST_MS // 1000
    return source.definition.whole_number(source.tags, "max_future", default_s, 0, most_s)


def _shards(source: EventSource, views: Sequence[StreamViewSpec], partitions: int | None) -> int:
    """Partitions of the shuffle topic; 0 where every view has the key of the topic."""
    shards = source.definition.whole_number(source.tags, "shards", _DEFAULT_SHARDS, 1, MOST_PARTITIONS)
    key = source.tags.get("key")
    # With one partition, every key of every view is in it.
    is_direct = partitions == 1 or all([k.name for k in view.join_keys] == [key] for view in views)
    return 0 if is_direct else shards


def _writer_schemas(source: EventSource, views: Sequence[StreamViewSpec]) -> dict[int, str]:
    expected = {name.removeprefix(EXPECT) for name in source.tags if name.startswith(EXPECT)}
    read = {name for view in views for name in view.reads}
    fields = sorted({source.timestamp_field, *read, *expected})
    if source.format == "json":
        check_json(source.definition, source.schema, fields, source.writers, source.tags)
        return {}
    return compile_writer_schemas(source.definition, source.schema, fields, source.writers, source.tags)
