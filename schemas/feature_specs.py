"""Parts of the plan that a Feast repository declares: event topics, feature views and services."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator

from headrace.schemas.errors import PlanError
from headrace.schemas.feature_types import FLAT_TYPES, ValueType
from headrace.schemas.nested_types import parse_type
from headrace.schemas.spec import Spec


def _check_type(name: ValueType) -> ValueType:
    """Refuse a name that is no type: a nested one is a struct, or a list or set of what has parts itself."""
    if name not in FLAT_TYPES:
        tree = parse_type(name)
        if tree.name != "Struct" and not (tree.parts and tree.element.parts):
            raise ValueError(f"'{name}' is no type")
    return name


DeclaredType = Annotated[ValueType, AfterValidator(_check_type)]
ColumnKind = Literal["long", "double", "boolean", "string"]


class FieldSpec(Spec):
    name: str
    dtype: DeclaredType


class ExpectationSpec(Spec):
    """What a field of the events is expected to be. `null_share` is the share of nulls that is in order, and
    `fresh_ms` the age of the newest event that is. What fails is counted; with `quarantine` a record that
    fails `least`, `most` or `categories`, or is null where `null_share` is 0, is a dead letter."""

    field: str
    least: float | None = None
    most: float | None = None
    categories: tuple[str, ...] = ()
    null_share: float | None = None
    fresh_ms: int | None = None
    quarantine: bool = False

    @property
    def text(self) -> str:
        """As it is declared."""
        words = [] if self.least is None else [f"min={self.least:g}"]
        words += [] if self.most is None else [f"max={self.most:g}"]
        words += [f"in={'|'.join(self.categories)}"] if self.categories else []
        words += [] if self.null_share is None else [f"nulls={self.null_share:g}"]
        words += [] if self.fresh_ms is None else [f"fresh={self.fresh_ms / 1000:g}"]
        return " ".join(words + ["quarantine"] * self.quarantine)

    def refuses(self, rule: str) -> bool:
        """Whether a record that fails a rule, such as ``min=0``, is a dead letter."""
        return self.quarantine and (not rule.startswith("nulls=") or self.null_share == 0)


class SourceSpec(Spec):
    """An event topic.

    `key_field` is the field whose value is the Kafka message key (None: unknown, so that every view is
    shuffled). `format` is that of the messages, Avro in Confluent wire format or JSON objects; an Avro
    schema, `reader_schema`, declares both. `writer_schemas` maps Confluent schema ids to Avro schemas in
    JSON; ids that are not there may be in a registry. A record is late when
    ``floor(e / tile_ms) < floor(M / tile_ms) - late_tiles`` and a future record when
    ``e > append time + max_future_ms``. `timestamp_unit` is the unit of the event time as written.
    """

    name: str
    topic: str
    format: Literal["avro", "json"] = "avro"
    reader_schema: str
    writer_schemas: dict[int, str]
    timestamp_field: str
    timestamp_unit: Literal["ms", "us"] = "ms"
    key_field: str | None = None
    tile_ms: int
    late_tiles: int
    max_future_ms: int
    partitions: int | None = None  # of the topic, where the repository declares it
    shards: int  # partitions of the shuffle topic; 0 when no view needs a shuffle
    expectations: tuple[ExpectationSpec, ...] = ()

    @property
    def schema_id(self) -> int:
        """The id producers write: that of the newest schema, which is the reader schema."""
        for schema_id, text in self.writer_schemas.items():
            if text == self.reader_schema:
                return schema_id
        raise PlanError(
            f"source '{self.name}': its reader schema is not among its writer schemas "
            f"{sorted(self.writer_schemas)}; run `headrace apply` again"
        )


class AggregationSpec(Spec):
    """One windowed feature: `function` of `column` over `window_ms`, advancing by `hop_ms`.

    `function` is one of `headrace.streams.aggregations`. A window of 0, with a hop of 0, is the lifetime of
    the key.
    `quantum` is the unit of fixed-point sums: every value of a floating column is rounded to a multiple of
    it before it is added, so that sums are exact and do not depend on order. It is 1.0 for whole numbers.
    `precision` is that of distinct counts: 2^precision registers, a standard error of 1.04 / 2^(precision/2).
    """

    feature: str
    function: str
    column: str
    window_ms: int
    hop_ms: int
    dtype: DeclaredType
    quantum: float = 1.0
    precision: int = 10


class ColumnSpec(Spec):
    """A column of a view's records as its udf takes or gives it."""

    name: str
    kind: ColumnKind
    nullable: bool = True


class UdfSpec(Spec):
    """A view's udf in pandas mode: a filter, derived columns, or both.

    `source` is its text, with that of what it names in the repository: another text is another definition.
    `inputs` are the fields of the event that it is given, `outputs` the columns of its result that are
    aggregated.
    """

    source: str
    inputs: tuple[ColumnSpec, ...]
    outputs: tuple[ColumnSpec, ...]

    @property
    def digest(self) -> str:
        """Tells it from others at a glance."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:12]


class StreamViewSpec(Spec):
    """A stream feature view. `join_keys` are sorted by name, as Feast sorts them."""

    name: str
    source: str
    join_keys: tuple[FieldSpec, ...]
    aggregations: tuple[AggregationSpec, ...]
    ttl_ms: int = 0  # 0: never expires
    udf: UdfSpec | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Fields of the events it needs: join keys, and what is aggregated or given to its udf."""
        given = [column.name for column in self.udf.inputs] if self.udf else self.aggregated
        return frozenset([*given, *(key.name for key in self.join_keys)])

    @property
    def aggregated(self) -> frozenset[str]:
        """Columns that its features are of: fields of the events, or those its udf gives."""
        return frozenset(a.column for a in self.aggregations)

    @property
    def features(self) -> tuple[FieldSpec, ...]:
        return tuple(FieldSpec(name=a.feature, dtype=a.dtype) for a in self.aggregations)


class BatchViewSpec(Spec):
    """A batch feature view, materialised from its table by way of Feast. `table` is Feast's name of it."""

    name: str
    join_keys: tuple[FieldSpec, ...]
    features: tuple[FieldSpec, ...]
    ttl_ms: int = 0
    table: str = ""


class FeatureRef(Spec):
    view: str
    feature: str

    @property
    def full_name(self) -> str:
        """``view__feature``, as Feast writes it with `full_feature_names=True`."""
        return f"{self.view}__{self.feature}"


class OnDemandViewSpec(Spec):
    """An on-demand feature view: computed when it is asked for, from stored features and the request.

    `inputs` are the stored features its function sees besides their join keys, `request` the fields it takes
    from the request. The function stands in `file` of the repository, and `definition` is the SHA-256 of its
    source text. With `singleton` it is called row by row, else once with all rows.
    """

    name: str
    mode: Literal["pandas", "python"]
    singleton: bool = False
    inputs: tuple[FeatureRef, ...]
    request: tuple[FieldSpec, ...]
    features: tuple[FieldSpec, ...]
    file: str
    definition: str


class FeatureServiceSpec(Spec):
    name: str
    features: tuple[FeatureRef, ...]


class ViewExpectationsSpec(Spec):
    """What is expected of the features of a view; `field` is the feature. It stands apart from the view,
    for it changes no value."""

    view: str
    features: tuple[ExpectationSpec, ...]
