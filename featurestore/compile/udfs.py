"""The udf of a stream feature view to its part of the plan.

Conventions, all in plain Feast::

    @stream_feature_view(mode="pandas", source=departures, ...)    # or StreamFeatureView(udf=..., mode=...)
    def carrier_delays(df):
        df = df[df["dep_delay"] > 0]                        # a filter
        df["hours"] = df["dep_delay"] / 60                  # a derived column
        return df

    tags={"headrace.columns": "dep_delay, origin"}

The tag names the fields that the udf is given beside join keys and event time. Without the tag they are all
fields of the event that are a number, text or bool.

`headrace.featurestore.compile.udf_trial` runs the udf on samples, to learn the types of the columns that it
derives, and to see that the result of a row does not depend on other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from feast.transformation.mode import TransformationMode

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.event_schema import EventColumn, Kind
from headrace.featurestore.compile.event_source import EventSource
from headrace.featurestore.compile.passed_through import aggregations_of
from headrace.featurestore.compile.udf_trial import UdfTrial
from headrace.featurestore.udfs.loading import udf_of
from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.featurestore.udfs.source import udf_source
from headrace.schemas.feature_specs import ColumnKind, ColumnSpec, FieldSpec, UdfSpec

COLUMNS_TAG = "columns"
_KINDS: dict[Kind, ColumnKind] = {
    "int": "long",
    "long": "long",
    "float": "double",
    "double": "double",
    "string": "string",
    "boolean": "boolean",
}


def compile_udf(
    definition: Definition,
    view: Any,
    source: EventSource,
    repository: Path,
    join_keys: Sequence[FieldSpec],
    columns: str | None,
) -> UdfSpec | None:
    """Compile the udf of a view; None where it has none.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's `StreamFeatureView`.
    source
        The event source it reads.
    repository
        The folder whose files hold the udf.
    join_keys
        Those of the view.
    columns
        The tag `headrace.columns`.

    Raises
    ------
    DefinitionError
        When the udf is of another mode, fails on every sample, gives no column that an aggregation needs, or
        is not row-wise.
    """
    function = udf_of(view)
    if function is None:
        if columns is not None:
            raise definition.error("it has the tag 'headrace.columns' and no udf", "Take one out")
        return None
    definition = definition.part(f"udf '{getattr(function, '__name__', function)}'")
    _check_mode(definition, view)
    keys = [key.name for key in join_keys]
    inputs = _inputs(definition, source, keys, columns)
    spec = UdfSpec(source=_source_text(definition, function, repository), inputs=inputs, outputs=())
    udf = PandasUdf(function, spec, keys, source.timestamp_field, source.timestamp_unit)
    outputs = UdfTrial(definition, udf, spec, keys).outputs(sorted({a.column for a in aggregations_of(view)}))
    return spec.model_copy(update={"outputs": outputs})


def derived_columns(udf: UdfSpec | None) -> dict[str, EventColumn]:
    """Return the columns that a udf derives, as aggregations see them, by name."""
    if udf is None:
        return {}
    return {c.name: EventColumn(c.name, c.kind, nullable=c.nullable) for c in udf.outputs}


def _source_text(definition: Definition, function: Any, repository: Path) -> str:
    try:
        if isinstance(function, FunctionType):
            return udf_source(function, repository)
        problem = f"it is a {type(function).__name__}, no function"
    except ValueError as error:
        problem = str(error)
    raise definition.error(problem, "Write it with def in a file of the repository")


def _check_mode(definition: Definition, view: Any) -> None:
    mode = getattr(view.feature_transformation, "mode", None) or view.mode
    name = mode.value if isinstance(mode, TransformationMode) else str(mode)
    if name != TransformationMode.PANDAS.value:
        raise definition.cannot_run(
            f"its mode is '{name}'", 'Write mode="pandas": it takes a DataFrame and returns one'
        )


def _inputs(
    definition: Definition, source: EventSource, keys: Sequence[str], columns: str | None
) -> tuple[ColumnSpec, ...]:
    """The fields that the udf is given, in the order of the event schema."""
    names = {*source.columns}
    if columns is not None:
        tag = definition.part(f"tag 'headrace.{COLUMNS_TAG}'")
        names = {name.strip() for name in columns.split(",")} - {""}
        for column in (source.column(tag, name) for name in sorted(names)):
            if column.kind not in _KINDS:
                raise tag.error(f"column '{column.name}' is no number, text or bool", "Take it out")
        names |= {*keys, source.timestamp_field}
    return tuple(
        ColumnSpec(name=column.name, kind=_KINDS[column.kind], nullable=column.nullable)
        for column in source.columns.values()
        if column.kind in _KINDS and column.name in names
    )
