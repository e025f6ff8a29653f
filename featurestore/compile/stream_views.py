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

Filters and derived columns: see `headrace.featurestore.compile.udfs`.

The quantum of a floating column is 1e-6 unless given; whole numbers are summed as they are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.event_schema import EventColumn, Kind
from headrace.featurestore.compile.expectations import EXPECT
from headrace.featurestore.compile.sources import EventSource
from headrace.featurestore.compile.udfs import compile_udf, derived_column
from headrace.featurestore.compile.windows import check_state, read_window
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec, UdfSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations import AGGREGATIONS, DEFAULT_PRECISION, LAST_K, PRECISIONS
from headrace.streams.columnar.fixed_point import QUANTA

_INSTEAD = {"median": "p50", "percentile": "p50, p90, p95 or p99", "avg": "mean", "nunique": "count_distinct"}
_DEFAULT_QUANTUM = 1e-6
_TAGS = ("quantum", "precision", "columns")
_JOIN_KEY_KINDS: dict[ValueType, tuple[Kind, ...]] = {
    "Int32": ("int",),
    "Int64": ("int", "long"),
    "String": ("string",),
}


class StreamViewCompiler:
    """Compiles one stream feature view.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's `StreamFeatureView`.
    source
        The event source it reads.
    repository
        The folder of the definitions.
    """

    def __init__(self, definition: Definition, view: Any, source: EventSource, repository: Path) -> None:
        self._definition, self._view, self._source = definition, view, source
        self._repository = repository
        self._columns = source.columns  # what its aggregations may be of
        self._dtypes = {field.name: field.dtype for field in view.features}

    def compile(self, join_keys: JoinKeys) -> StreamViewSpec:
        """The specification.

        Raises
        ------
        DefinitionError
            When the view cannot be executed as written.
        """
        view, definition = self._view, self._definition
        self._check_view()
        keys = join_keys.of(definition, view)
        for key in keys:
            self._check_join_key(key.name, key.dtype)
        udf = self._udf(keys)
        quanta = self._quanta()
        aggregations = tuple(self._aggregation(each, quanta) for each in view.aggregations)
        self._check_features([a.feature for a in aggregations])
        return StreamViewSpec(
            name=view.name,
            source=self._source.name,
            join_keys=keys,
            aggregations=aggregations,
            ttl_ms=definition.milliseconds("ttl", view.ttl or timedelta(0)),
            udf=udf,
        )

    def _udf(self, keys: Sequence[FieldSpec]) -> UdfSpec | None:
        view, definition = self._view, self._definition
        columns = definition.tags(view.tags, _TAGS, EXPECT).get("columns")
        udf = compile_udf(definition, view, self._source, self._repository, keys, columns)
        if udf is not None:
            self._columns = {column.name: derived_column(column) for column in udf.outputs}
        return udf

    def _check_view(self) -> None:
        view, definition = self._view, self._definition
        if not view.aggregations:
            raise definition.error("it has no aggregations", "Write aggregations=[Aggregation(...)]")
        if view.timestamp_field != self._source.feast.timestamp_field:
            raise definition.error(
                f"its timestamp_field is '{view.timestamp_field}'",
                f"Use that of its source, '{self._source.feast.timestamp_field}'",
            )

    def _check_join_key(self, name: str, dtype: ValueType) -> None:
        if dtype not in _JOIN_KEY_KINDS:
            raise self._definition.error(
                f"join key '{name}' is {dtype}, which events do not bring as a key",
                f"Make it one of {', '.join(_JOIN_KEY_KINDS)}",
            )
        column = self._source.column(self._definition.part(f"join key '{name}'"), name)
        if column.kind not in _JOIN_KEY_KINDS[dtype]:
            raise self._definition.error(
                f"join key '{name}' is {dtype}, and {column.kind} in the event schema",
                f"Make it one of {', '.join(_JOIN_KEY_KINDS[dtype])} in the events, or change the field",
            )

    def _aggregation(self, aggregation: Any, quanta: dict[str, float]) -> AggregationSpec:
        feature = aggregation.resolved_name(aggregation.time_window)
        definition = self._definition.part(f"feature '{feature}'")
        function = _function(definition, aggregation.function)
        column = self._column(definition, aggregation.column)
        fitting = AGGREGATIONS[function].types(column.kind)
        if not fitting:
            raise definition.error(
                f"{function} of column '{column.name}', which is {column.kind}", "Choose a numeric column"
            )
        window_ms, hop_ms = read_window(definition, aggregation)
        spec = AggregationSpec(
            feature=feature,
            function=function,
            column=column.name,
            window_ms=window_ms,
            hop_ms=hop_ms,
            dtype=self._feature_type(definition, feature, f"{function} of {column.kind}", fitting),
            quantum=quanta.get(column.name, 1.0 if not _is_floating(column) else _DEFAULT_QUANTUM),
            precision=self._precision(),
        )
        check_state(definition, spec)
        return spec

    def _column(self, definition: Definition, name: str) -> EventColumn:
        """A column of the records, behind the udf where there is one."""
        return self._columns[name] if name in self._columns else self._source.column(definition, name)

    def _precision(self) -> int:
        tags = self._definition.tags(self._view.tags, _TAGS, EXPECT)
        precision = self._definition.whole_number(tags, "precision", DEFAULT_PRECISION, PRECISIONS[0])
        if precision > PRECISIONS[-1]:
            raise self._definition.error(
                f"tag 'headrace.precision' is '{precision}'", f"Give at most {PRECISIONS[-1]}"
            )
        return precision

    def _feature_type(
        self, definition: Definition, feature: str, computed: str, fitting: tuple[ValueType, ...]
    ) -> ValueType:
        if feature not in self._dtypes:
            raise definition.error(
                "it is not in the view's schema", f"Add a Field; {suggestion(feature, self._dtypes)}"
            )
        for dtype in fitting:
            if str(self._dtypes[feature]) == dtype:
                return dtype
        raise definition.error(
            f"{computed} does not fit type {self._dtypes[feature]}",
            f"Declare the Field as {' or '.join(fitting)}",
        )

    def _check_features(self, computed: list[str]) -> None:
        for name, times in Counter(computed).items():
            if times > 1:
                raise self._definition.error(
                    f"feature '{name}' is computed {times} times", "Give each aggregation a name of its own"
                )
        for name in self._dtypes:
            if name not in computed:
                raise self._definition.error(
                    f"no aggregation computes feature '{name}' of its schema", suggestion(name, computed)
                )

    def _quanta(self) -> dict[str, float]:
        """Column to quantum, from the tag."""
        text = self._definition.tags(self._view.tags, _TAGS, EXPECT).get("quantum", "")
        definition = self._definition.part("tag 'headrace.quantum'")
        quanta = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = (part.strip() for part in item.partition("="))
            if not _is_floating(self._column(definition, name)):
                raise definition.error(f"column '{name}' is not floating", "Take it out: 1 is its quantum")
            quanta[name] = _positive(definition, item, number)
        return quanta


def _function(definition: Definition, name: str) -> str:
    if name in AGGREGATIONS:
        return name
    remedy = f"Use {_INSTEAD[name]}" if name in _INSTEAD else _nearest(name)
    raise definition.error(f"function '{name}' is unknown", remedy)


def _nearest(name: str) -> str:
    if name.startswith("last"):
        return f"The last k values are {next(iter(LAST_K))} to {list(LAST_K)[-1]}, the last one is last"
    return suggestion(name, [known for known in AGGREGATIONS if known not in LAST_K])


def _is_floating(column: EventColumn) -> bool:
    return column.kind in ("float", "double")


def _positive(definition: Definition, item: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    least, most = QUANTA
    if not least <= value <= most:
        raise definition.error(
            f"'{item}' gives no quantum from {least:g} to {most:g}",
            "Write column=number, for example dep_delay=0.01",
        )
    return value
