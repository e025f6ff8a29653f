"""Parts of the plan that a Feast repository declares: event topics, feature views and services."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from headrace.schemas.errors import PlanError
from headrace.schemas.feature_types import FLAT_TYPES, ValueType
from headrace.schemas.names import FieldName, FolderName, PartName, TopicName
from headrace.schemas.nested_types import parse_type
from headrace.schemas.numbers import (
    LONGEST_MS,
    MOST_TILES,
    Finite,
    PartitionCount,
    Precision,
    Quantum,
    SchemaId,
    Share,
    SpanMs,
    SpanOrNoneMs,
    Tiles,
)
from headrace.schemas.spec import Spec


def _check_type(name: ValueType) -> ValueType:
    """Refuse a name that is no type: a nested one is a struct, or a list or set of what has parts itself."""
    if name not in FLAT_TYPES:
        tree = parse_type(name)
        if tree.name != "Struct" and not (tree.parts and tree.element.parts):
            raise ValueError(f"'{name}' is no type")
    return name


def _is_empty(value: Any) -> bool:
    """Whether a field is left out of the JSON of a plan, which is then that of before there was the field."""
    return not value


DeclaredType = Annotated[ValueType, AfterValidator(_check_type)]
ColumnKind = Literal["long", "double", "boolean", "string"]
LONGEST = 2**31 - 1  # of a list, as Feast's registry holds its length
_LAST = "last_"


class FieldSpec(Spec):
    """Name and type of a join key, a feature or a field of a request.

    Attributes
    ----------
    length
        Of a list, how many of its first elements predictions hold and models take; 0: not declared.
    """

    name: FieldName
    dtype: DeclaredType
    length: int = Field(default=0, ge=0, le=LONGEST, exclude_if=_is_empty)


class ExpectationSpec(Spec):
    """Expectations of a field of events, or of a feature.

    Attributes
    ----------
    least, most, categories
        Least and greatest value, and the values that occur.
    null_share
        Greatest share of nulls.
    fresh_ms
        Greatest age of the newest event.
    quarantine
        Whether a record is a dead letter when it fails `least`, `most` or `categories`, or is null where
        `null_share` is 0. Otherwise failures are only counted.
    """

    field: FieldName
    least: Finite | None = None
    most: Finite | None = None
    categories: tuple[str, ...] = ()
    null_share: Share | None = None
    fresh_ms: SpanOrNoneMs | None = None
    quarantine: bool = False

    @property
    def text(self) -> str:
        """The expectations as they are declared.

        Examples
        --------
        >>> ExpectationSpec(field="amount", least=0, null_share=0.1, fresh_ms=60_000, quarantine=True).text
        'min=0 nulls=0.1 fresh=60 quarantine'
        """
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

    Attributes
    ----------
    format
        Avro in Confluent wire format, or JSON objects.
    reader_schema
        Avro schema in JSON; it declares JSON events as well.
    writer_schemas
        Avro schemas in JSON by Confluent schema id. Other ids may be in a registry.
    timestamp_field, timestamp_unit
        Field of the event time, and its unit as written.
    key_field
        Field that is the Kafka key. None: unknown, so that every view is shuffled.
    tile_ms, late_tiles
        A record of event time e is late when ``floor(e / tile_ms) < floor(M / tile_ms) - late_tiles``, where
        M is the clock of its partition.
    max_future_ms
        A record is from the future when ``e > append time + max_future_ms``.
    partitions
        Number of partitions, where the repository declares it.
    shards
        Number of partitions of the shuffle topic; 0 when no view needs a shuffle.
    """

    name: PartName
    topic: TopicName
    format: Literal["avro", "json"] = "avro"
    reader_schema: str
    writer_schemas: dict[SchemaId, str]
    timestamp_field: FieldName
    timestamp_unit: Literal["ms", "us"] = "ms"
    key_field: FieldName | None = None
    tile_ms: SpanMs
    late_tiles: Tiles
    max_future_ms: SpanOrNoneMs
    partitions: PartitionCount | None = None
    shards: PartitionCount | Literal[0]
    expectations: tuple[ExpectationSpec, ...] = ()

    @model_validator(mode="after")
    def _check_lateness(self) -> Self:
        longest_ms = LONGEST_MS + self.tile_ms  # tiles are whole
        if self.late_tiles * self.tile_ms > longest_ms:
            raise ValueError(
                f"late_tiles {self.late_tiles} of tile_ms {self.tile_ms} are longer than {longest_ms} ms"
            )
        return self

    @property
    def schema_id(self) -> int:
        """Schema id that producers write: that of the newest schema, which is the reader schema."""
        for schema_id, text in self.writer_schemas.items():
            if text == self.reader_schema:
                return schema_id
        raise PlanError(
            f"source '{self.name}': its reader schema is not among its writer schemas "
            f"{sorted(self.writer_schemas)}; run `headrace apply` again"
        )


class AggregationSpec(Spec):
    """A windowed feature: `function` of `column` over `window_ms`, advancing by `hop_ms`.

    Attributes
    ----------
    function
        One of `headrace.streams.aggregations.AGGREGATIONS`.
    window_ms, hop_ms
        Both 0: the lifetime of the key.
    quantum
        Unit of fixed-point sums, 1.0 for whole numbers. Each value of a floating column is rounded to a
        multiple of it before it is added, so that sums are exact and do not depend on order.
    precision
        Of distinct counts: 2^precision registers, a standard error of 1.04 / 2^(precision/2).
    """

    feature: FieldName
    function: str
    column: FieldName
    window_ms: SpanOrNoneMs
    hop_ms: SpanOrNoneMs
    dtype: DeclaredType
    quantum: Quantum = 1.0
    precision: Precision = 10

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if (self.window_ms or self.hop_ms) and not self._has_tiles():
            raise ValueError(
                f"window_ms {self.window_ms} is not 1 to {MOST_TILES - 1} times hop_ms {self.hop_ms}, and "
                "not both are 0"
            )
        return self

    def _has_tiles(self) -> bool:
        hops, rest = divmod(self.window_ms, self.hop_ms) if self.hop_ms else (0, 0)
        return not rest and 0 < hops < MOST_TILES

    @property
    def length(self) -> int:
        """The k of `last_k`; 0 of other functions."""
        return int(self.function.removeprefix(_LAST)) if self.dtype.startswith("Array(") else 0


class ColumnSpec(Spec):
    """A column that the udf of a view takes or returns."""

    name: FieldName
    kind: ColumnKind
    nullable: bool = True


class UdfSpec(Spec):
    """A view's udf in pandas mode: a filter, derived columns, or both.

    Attributes
    ----------
    source
        Its source text, with that of the names it uses in the repository: another text is another definition.
    inputs
        Fields of the event that it takes.
    outputs
        Columns of its result that are aggregated.
    """

    source: str
    inputs: tuple[ColumnSpec, ...]
    outputs: tuple[ColumnSpec, ...]

    @property
    def digest(self) -> str:
        """First digits of the SHA-256 of the source, in hex."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:12]


class StreamViewSpec(Spec):
    """A stream feature view. `join_keys` are sorted by name, as Feast sorts them."""

    name: FolderName
    source: str
    join_keys: tuple[FieldSpec, ...]
    aggregations: tuple[AggregationSpec, ...]
    ttl_ms: SpanOrNoneMs = 0  # 0: never expires
    udf: UdfSpec | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Fields of the events that the view needs: join keys, and those it aggregates or its udf takes."""
        values = [column.name for column in self.udf.inputs] if self.udf else self.aggregated
        return frozenset([*values, *(key.name for key in self.join_keys)])

    @property
    def aggregated(self) -> frozenset[str]:
        """Columns that the features aggregate: fields of the events, or columns that the udf returns."""
        return frozenset(a.column for a in self.aggregations)

    @property
    def features(self) -> tuple[FieldSpec, ...]:
        """Names and types of the features, in the order of the aggregations."""
        return tuple(FieldSpec(name=a.feature, dtype=a.dtype, length=a.length) for a in self.aggregations)


class TableSpec(Spec):
    """The table that a batch view is read from.

    Attributes
    ----------
    place
        Path of a file or folder, below the repository relative to it; else name or query of a table.
    timestamp_field
        Column of the event time.
    created_field
        Column that decides among rows with one event time; empty: there is none.
    options
        First digits of the SHA-256 of all else that Feast's object says of how to read it, in hex.
    """

    place: str
    timestamp_field: str
    created_field: str = ""
    options: str


class BatchViewSpec(Spec):
    """A batch feature view, materialised from its table by way of Feast.

    Attributes
    ----------
    table
        Feast's name of the table.
    source
        The table itself; None in plans from before it was part of them.
    """

    name: FolderName
    join_keys: tuple[FieldSpec, ...]
    features: tuple[FieldSpec, ...]
    ttl_ms: SpanOrNoneMs = 0
    table: str = ""
    source: TableSpec | None = Field(default=None, exclude_if=_is_empty)


class FeatureRef(Spec):
    """A feature of a view, as it is read: perhaps under another name of the view, and by other columns.

    Attributes
    ----------
    alias
        Name of the view where it is read; empty for its own.
    join_key_map
        Join keys of the view that requests have under another name, each with that name, sorted.

    Examples
    --------
    >>> goals = FeatureRef(view="teams", feature="goals", alias="home", join_key_map=(("team", "home_team"),))
    >>> (key,) = goals.request_keys([FieldSpec(name="team", dtype="String")])
    >>> goals.full_name, key.name
    ('home__goals', 'home_team')
    """

    view: str
    feature: str
    alias: FolderName | Literal[""] = Field(default="", exclude_if=_is_empty)
    join_key_map: tuple[tuple[FieldName, FieldName], ...] = Field(default=(), exclude_if=_is_empty)

    @property
    def view_name(self) -> str:
        """The name of the view where it is read."""
        return self.alias or self.view

    @property
    def full_name(self) -> str:
        """``view__feature``, as Feast writes it with `full_feature_names=True`."""
        return f"{self.view_name}__{self.feature}"

    @property
    def text(self) -> str:
        """``view:feature``, and what is renamed, for people.

        Examples
        --------
        >>> FeatureRef(view="teams", feature="goals", join_key_map=(("team", "home_team"),)).text
        'teams:goals by team=home_team'
        """
        renamed = f" of {self.view}" if self.alias else ""
        mapped = ", ".join(f"{key}={column}" for key, column in self.join_key_map)
        return f"{self.view_name}:{self.feature}{renamed}{f' by {mapped}' if mapped else ''}"

    @property
    def definition(self) -> FeatureRef:
        """The feature as its view defines it."""
        return FeatureRef(view=self.view, feature=self.feature)

    @property
    def projection(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """What features of one view that are read in one way have in common."""
        return (self.view, self.alias, self.join_key_map)

    def request_keys(self, join_keys: Iterable[FieldSpec]) -> tuple[FieldSpec, ...]:
        """Return join keys of the view by the names that requests have them under, in their order."""
        names = dict(self.join_key_map)
        return tuple(FieldSpec(name=names.get(key.name, key.name), dtype=key.dtype) for key in join_keys)


class OnDemandViewSpec(Spec):
    """An on-demand feature view: computed from stored features and the request when it is read.

    Attributes
    ----------
    singleton
        Whether the function is called row by row, not once with all rows.
    inputs
        Stored features that the function takes, besides their join keys.
    request
        Fields that it takes from the request.
    file
        File of the function in the repository.
    definition
        SHA-256 of its source text.
    """

    name: FolderName
    mode: Literal["pandas", "python"]
    singleton: bool = False
    inputs: tuple[FeatureRef, ...]
    request: tuple[FieldSpec, ...]
    features: tuple[FieldSpec, ...]
    file: str
    definition: str


class FeatureServiceSpec(Spec):
    """A feature service: features that are read together."""

    name: FolderName
    features: tuple[FeatureRef, ...]


class ViewExpectationsSpec(Spec):
    """Expectations of the features of a view; `field` is the feature.

    They are apart from the view, since they change no value.
    """

    view: str
    features: tuple[ExpectationSpec, ...]
