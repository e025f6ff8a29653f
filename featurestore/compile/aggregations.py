"""The aggregations of a stream feature view to its features in the plan."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.featurestore.compile.event_source import EventSource
from headrace.featurestore.compile.passed_through import aggregations_of
from headrace.featurestore.compile.udfs import derived_columns
from headrace.featurestore.compile.windows import check_state, read_window, tiling_hop
from headrace.schemas.feature_specs import AggregationSpec, UdfSpec
from headrace.schemas.feature_types import ValueType
from headrace.schemas.numbers import PRECISIONS, QUANTA
from headrace.streams.aggregations import AGGREGATIONS, DEFAULT_PRECISION, LAST_K

TAGS = ("quantum", "precision")
_INSTEAD = {"median": "p50", "percentile": "p50, p90, p95 or p99", "avg": "mean", "nunique": "count_distinct"}
_DEFAULT_QUANTUM = 1e-6


def compile_aggregations(
    definition: Definition, view: Any, source: EventSource, udf: UdfSpec | None, tags: Mapping[str, str]
) -> tuple[AggregationSpec, ...]:
    """Compile the aggregations of a view, in its order.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's `StreamFeatureView`.
    source
        The event source it reads.
    udf
        The compiled udf of the view; its derived columns are aggregated.
    tags
        Those of Headrace, without prefix.

    Raises
    ------
    DefinitionError
        When an aggregation cannot be computed, or is not what the schema of the view declares.
    """
    compiler = _AggregationCompiler(definition, view, source, udf, tags)
    aggregations = tuple(compiler.compile(aggregation) for aggregation in aggregations_of(view))
    _check_features(definition, [a.feature for a in aggregations], [field.name for field in view.features])
    return aggregations


class _AggregationCompiler:
    def __init__(
        self,
        definition: Definition,
        view: Any,
        source: EventSource,
        udf: UdfSpec | None,
        tags: Mapping[str, str],
    ) -> None:
        self._definition, self._source = definition, source
        self._derived, self._tiling = derived_columns(udf), tiling_hop(definition, view)
        self._dtypes = {field.name: field.dtype for field in view.features}
        self._quanta = self._read_quanta(tags.get("quantum", ""))
        self._precision = _read_precision(definition, tags)

    def compile(self, aggregation: Any) -> AggregationSpec:
        feature = aggregation.resolved_name(aggregation.time_window)
        definition = self._definition.part(f"feature '{feature}'")
        function = _function(definition, aggregation.function)
        column = self._column(definition, aggregation.column)
        types = AGGREGATIONS[function].types(column.kind)
        if not types:
            raise definition.error(
                f"{function} of column '{column.name}', which is {column.kind}", "Choose a numeric column"
            )
        window_ms, hop_ms = read_window(definition, aggregation, self._tiling)
        tile = AggregationSpec(
            feature=feature,
            function=function,
            column=column.name,
            window_ms=window_ms,
            hop_ms=window_ms,
            dtype=self._feature_type(definition, feature, f"{function} of {column.kind}", types),
            quantum=self._quanta.get(column.name, _DEFAULT_QUANTUM if column.is_floating else 1.0),
            precision=self._precision,
        )
        check_state(definition, window_ms, hop_ms, AGGREGATIONS[function].tile_bytes(tile))
        return tile.model_copy(update={"hop_ms": hop_ms})

    def _column(self, definition: Definition, name: str) -> EventColumn:
        """A column of the records behind the udf where there is one, else of the events."""
        return self._derived[name] if name in self._derived else self._source.column(definition, name)

    def _feature_type(
        self, definition: Definition, feature: str, computed: str, types: tuple[ValueType, ...]
    ) -> ValueType:
        """The declared type of a feature, if it is one that its function gives."""
        if feature not in self._dtypes:
            raise definition.error(
                "it is not in the view's schema", f"Add a Field; {suggestion(feature, self._dtypes)}"
            )
        for dtype in types:
            if str(self._dtypes[feature]) == dtype:
                return dtype
        raise definition.error(
            f"{computed} does not fit type {self._dtypes[feature]}",
            f"Declare the Field as {' or '.join(types)}",
        )

    def _read_quanta(self, text: str) -> dict[str, float]:
        """Read the quantum of each column from the tag ``column=number, ...``."""
        definition = self._definition.part("tag 'headrace.quantum'")
        quanta = {}
        for item in filter(None, (item.strip() for item in text.split(","))):
            name, _, number = (word.strip() for word in item.partition("="))
            if not self._column(definition, name).is_floating:
                raise definition.error(f"column '{name}' is not floating", "Take it out: 1 is its quantum")
            quanta[name] = _quantum(definition, item, number)
        return quanta


def _read_precision(definition: Definition, tags: Mapping[str, str]) -> int:
    return definition.whole_number(tags, "precision", DEFAULT_PRECISION, PRECISIONS[0], PRECISIONS[-1])


def _quantum(definition: Definition, item: str, number: str) -> float:
    try:
        quantum = float(number)
    except ValueError:
        quantum = math.nan
    least, most = QUANTA
    if not least <= quantum <= most:
        raise definition.error(
            f"'{item}' gives no quantum from {least:g} to {most:g}",
            "Write column=number, for example dep_delay=0.01",
        )
    return quantum


def _function(definition: Definition, name: str) -> str:
    if name in AGGREGATIONS:
        return name
    if name in _INSTEAD:
        remedy = f"Use {_INSTEAD[name]}"
    elif name.startswith("last"):
        first, *_, longest = LAST_K
        remedy = f"The last k values are {first} to {longest}, the last one is last"
    else:
        remedy = suggestion(name, [known for known in AGGREGATIONS if known not in LAST_K])
    raise definition.error(f"function '{name}' is unknown", remedy)


def _check_features(definition: Definition, computed: Sequence[str], declared: Sequence[str]) -> None:
    """Refuse a feature that is computed twice, or declared and not computed."""
    for name, times in Counter(computed).items():
        if times > 1:
            raise definition.error(
                f"feature '{name}' is computed {times} times", "Give each aggregation a name of its own"
            )
    for name in declared:
        if name not in computed:
            raise definition.error(
                f"no aggregation computes feature '{name}' of its schema", suggestion(name, computed)
            )
