"""Stream feature views to stream view specifications of the plan.

Conventions, all in plain Feast objects::

    StreamFeatureView(
        name="carrier_delays",
        entities=[carrier],
        source=departures,                      # a KafkaSource
        timestamp_field="departed_at",          # the source's
        schema=[Field(name="carrier", dtype=String), Field(name="dep_delay_mean_1h", dtype=Float64)],
        aggregations=[
            Aggregation(
                column="dep_delay",
                function="mean",                # see docs/guides/aggregations.md
                time_window=timedelta(hours=1),         # without it, the lifetime of the key
                slide_interval=timedelta(minutes=5),    # the hop; without it, a tumbling window
                name="dep_delay_mean_1h",       # without it, Feast's {function}_{column}_{seconds}s
            ),
        ],
        tags={
            "headrace.quantum": "dep_delay=0.01",   # unit of fixed-point sums, by column
            "headrace.precision": "10",             # of count_distinct: 2^10 registers, 3.25 % standard error
        },
    )

Without aggregations the last value of each field of the schema is a feature.

Filters and derived columns: see `headrace.featurestore.compile.udfs`.

The quantum of a floating column is 1e-6 unless given. Whole numbers are summed as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feast.data_source import KafkaSource

from headrace.featurestore.compile.aggregations import TAGS, compile_aggregations
from headrace.featurestore.compile.definition import CannotRun, Definition
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.event_schema import Kind
from headrace.featurestore.compile.event_source import EventSource
from headrace.featurestore.compile.expectations import EXPECT
from headrace.featurestore.compile.udfs import COLUMNS_TAG, compile_udf
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import ValueType

_JOIN_KEY_KINDS: dict[ValueType, tuple[Kind, ...]] = {
    "Int32": ("int",),
    "Int64": ("int", "long"),
    "String": ("string",),
}


def compile_stream_view(
    definition: Definition,
    view: Any,
    sources: Mapping[str, EventSource],
    repository: Path,
    join_keys: JoinKeys,
) -> StreamViewSpec:
    """Compile a `StreamFeatureView`.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's object.
    sources
        The Kafka sources, by name.
    repository
        The folder of the definitions.
    join_keys
        Those of the repository.

    Raises
    ------
    CannotRun
        When Feast has a use for the view, and Headrace none.
    DefinitionError
        When the view cannot be executed as written.
    """
    source = _check_view(definition, view, sources)
    keys = join_keys.compile(definition, view)
    if not keys:
        raise definition.cannot_run("it has no entities", "Write entities=[...], with at least one")
    for key in keys:
        _check_join_key(definition, source, key)
    try:
        return _compiled(definition, view, source, repository, keys)
    except CannotRun:
        raise
    except DefinitionError as error:
        if view.aggregations:
            raise
        # It was not written for Headrace: Feast passes on what cannot be aggregated.
        raise definition.cannot_run(
            f"it has no aggregations, and its fields cannot be passed through ({error.problem})", error.remedy
        ) from error


def _compiled(
    definition: Definition, view: Any, source: EventSource, repository: Path, keys: tuple[FieldSpec, ...]
) -> StreamViewSpec:
    tags = definition.tags(view.tags, (*TAGS, COLUMNS_TAG), EXPECT)
    udf = compile_udf(definition, view, source, repository, keys, tags.get(COLUMNS_TAG))
    return StreamViewSpec(
        name=view.name,
        source=source.name,
        join_keys=keys,
        aggregations=compile_aggregations(definition, view, source, udf, tags),
        ttl_ms=definition.ttl_ms(view.ttl),
        udf=udf,
    )


def _check_view(definition: Definition, view: Any, sources: Mapping[str, EventSource]) -> EventSource:
    """Return the source of a view that can be executed."""
    name = view.stream_source.name
    if not isinstance(view.stream_source, KafkaSource):
        kind = type(view.stream_source).__name__
        raise definition.cannot_run(f"its source '{name}' is a {kind}", "Use a KafkaSource")
    if not view.online:
        raise definition.cannot_run("it has online=False", "Set online=True")
    if not view.aggregations and not view.features:
        raise definition.cannot_run(
            "it has neither aggregations nor a schema",
            "Write aggregations=[...], or the fields to pass through",
        )
    source = sources[name]
    if view.timestamp_field != source.timestamp_field:
        raise definition.error(
            f"its timestamp_field is '{view.timestamp_field}'",
            f"Use that of its source, '{source.timestamp_field}'",
        )
    return source


def _check_join_key(definition: Definition, source: EventSource, key: FieldSpec) -> None:
    if key.dtype not in _JOIN_KEY_KINDS:
        raise definition.error(
            f"join key '{key.name}' is {key.dtype}, which events do not bring as a key",
            f"Make it one of {', '.join(_JOIN_KEY_KINDS)}",
        )
    column, kinds = (
        source.column(definition.part(f"join key '{key.name}'"), key.name),
        _JOIN_KEY_KINDS[key.dtype],
    )
    if column.kind not in kinds:
        raise definition.error(
            f"join key '{key.name}' is {key.dtype}, and {column.kind} in the event schema",
            f"Make it one of {', '.join(kinds)} in the events, or change the field",
        )
