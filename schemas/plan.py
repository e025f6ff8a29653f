"""The plan: one immutable, hashed description that every process reads, and nothing else.

`headrace apply` compiles a Feast repository and its `learners.py` into a `Plan`. The hash covers the
canonical JSON of everything in it, so two plans with one hash describe the same system.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import PlanError, UnknownNameError

# Feast's types by their names there. Its maps, structs, nested lists and zoned timestamps are not among them.
ValueType = Literal[
    "Int32", "Int64", "Float32", "Float64", "String", "Bool", "UnixTimestamp",
    "Bytes", "PdfBytes", "ImageBytes", "Json", "Uuid", "TimeUuid", "Decimal",
    "Array(Int32)", "Array(Int64)", "Array(Float32)", "Array(Float64)", "Array(String)", "Array(Bool)",
    "Array(UnixTimestamp)", "Array(Bytes)", "Array(Json)", "Array(Uuid)", "Array(TimeUuid)", "Array(Decimal)",
    "Set(Int32)", "Set(Int64)", "Set(Float32)", "Set(Float64)", "Set(String)", "Set(Bool)",
    "Set(UnixTimestamp)", "Set(Bytes)", "Set(Uuid)", "Set(TimeUuid)", "Set(Decimal)",
]  # fmt: skip
# What a model takes in, and the log of predictions holds; times there are epoch milliseconds.
LOGGED_TYPES: tuple[ValueType, ...] = (
    "Int32", "Int64", "Float32", "Float64", "String", "Bool", "UnixTimestamp",
)  # fmt: skip
ColumnKind = Literal["long", "double", "boolean", "string"]
AboutKind = Literal[
    "entity", "source", "stream feature view", "feature view", "on demand feature view", "feature",
    "feature service",
]  # fmt: skip
PLAN_VERSION = 1


class Spec(BaseModel):
    """A frozen part of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldSpec(Spec):
    name: str
    dtype: ValueType


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

    `function` is one of `streams.aggregations`. A window of 0, with a hop of 0, is the lifetime of the key.
    `quantum` is the unit of fixed-point sums: every value of a floating column is rounded to a multiple of
    it before it is added, so that sums are exact and do not depend on order. It is 1.0 for whole numbers.
    `precision` is that of distinct counts: 2^precision registers, a standard error of 1.04 / 2^(precision/2).
    """

    feature: str
    function: str
    column: str
    window_ms: int
    hop_ms: int
    dtype: ValueType
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


class LearnerSpec(Spec):
    """A learner. `definition` is the hash of its model's class paths and parameters; `service` names the
    feature service it reads and `request` the request features it reads besides."""

    name: str
    service: str | None
    request: tuple[str, ...] = ()
    target: str
    definition: str


class OutcomeSpec(Spec):
    """Where labels come from: `label` of every record of `source`, matched to the prediction with the
    same natural key. Without a source, outcomes come over HTTP alone."""

    source: str
    key_field: str
    label_field: str
    id_field: str | None = None


class PolicySpec(Spec):
    kind: Literal["thompson", "fixed", "epsilon_greedy"] = "thompson"
    posterior: Literal["beta", "normal"] = "beta"
    discount: float = 1.0  # per refresh, in (0, 1]
    floor: float = 0.0  # least propensity of an eligible arm
    epsilon: float = 0.1
    shares: dict[str, float] = {}


class RouterSpec(Spec):
    name: str
    arms: tuple[str, ...]
    champion: str
    target: str
    unit: str  # entity or request field whose value is hashed for sticky assignment
    entities: tuple[str, ...]  # join keys a request must bring
    request: tuple[str, ...]  # request features a request must bring
    outcome: OutcomeSpec | None
    wait_ms: int
    missing: Literal["drop", "negative", "censor"] = "drop"
    duplicates: Literal["first", "last", "sum", "max"] = "first"
    feedback: Literal["shared", "arm"] = "shared"
    reward: Literal["brier", "accuracy", "label"] = "brier"
    policy: PolicySpec
    refresh_ms: int
    publish_ms: int  # event time between two published model versions; 0: wall clock alone
    partitions: int  # of the predictions and outcomes topics
    salt: str
    default: float  # the score when no arm can answer


class AboutSpec(Spec):
    """What people should know of an object and no process needs. It stands apart from the object, so that a
    new owner is no new definition. A feature's name is ``view:feature``; `tags` are those that Headrace does
    not read itself."""

    kind: AboutKind
    name: str
    owner: str = ""
    description: str = ""
    tags: dict[str, str] = {}


class ViewExpectationsSpec(Spec):
    """What is expected of the features of a view; `field` is the feature. It stands apart from the view,
    for it changes no value."""

    view: str
    features: tuple[ExpectationSpec, ...]


class Plan(Spec):
    """Everything the processes need to know, compiled from the repository."""

    version: int = PLAN_VERSION
    project: str
    sources: tuple[SourceSpec, ...] = ()
    stream_views: tuple[StreamViewSpec, ...] = ()
    batch_views: tuple[BatchViewSpec, ...] = ()
    on_demand_views: tuple[OnDemandViewSpec, ...] = ()
    services: tuple[FeatureServiceSpec, ...] = ()
    learners: tuple[LearnerSpec, ...] = ()
    routers: tuple[RouterSpec, ...] = ()
    expectations: tuple[ViewExpectationsSpec, ...] = ()
    about: tuple[AboutSpec, ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, and the copy has the hash of what is in it."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("hash", None)
        return copied

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan.

        Raises
        ------
        PlanError
            When the text is no plan, or one of another version of Headrace.
        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise PlanError(f"the plan is not JSON ({error}); run `headrace apply` again") from error
        if not isinstance(raw, dict):
            raise PlanError(f"the plan is a {type(raw).__name__}, not an object; run `headrace apply` again")
        if raw.get("version") != PLAN_VERSION:
            raise PlanError(
                f"the plan has version {raw.get('version')!r}, this Headrace reads {PLAN_VERSION}; "
                "run `headrace apply` with the installed version"
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise _unreadable(error) from error

    def about_of(self, kind: AboutKind, name: str) -> AboutSpec:
        """What is said of an object; empty where nothing is."""
        found = (about for about in self.about if (about.kind, about.name) == (kind, name))
        return next(found, AboutSpec(kind=kind, name=name))

    def source(self, name: str) -> SourceSpec:
        return _find("source", self.sources, name)

    def stream_view(self, name: str) -> StreamViewSpec:
        return _find("stream feature view", self.stream_views, name)

    def view(self, name: str) -> StreamViewSpec | BatchViewSpec:
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*self.stream_views, *self.batch_views)
        return _find("feature view", views, name)

    def on_demand_view(self, name: str) -> OnDemandViewSpec:
        return _find("on demand feature view", self.on_demand_views, name)

    def stored(self, refs: Iterable[FeatureRef]) -> tuple[FeatureRef, ...]:
        """What is read from the online store: these features, or what their on-demand views take."""
        on_demand = {view.name: view.inputs for view in self.on_demand_views}
        return tuple(dict.fromkeys(read for ref in refs for read in on_demand.get(ref.view, (ref,))))

    def on_demand_of(self, refs: Iterable[FeatureRef]) -> tuple[OnDemandViewSpec, ...]:
        """The on-demand views among those of these features."""
        views = {ref.view for ref in refs}
        return tuple(view for view in self.on_demand_views if view.name in views)

    def dtype_of(self, ref: FeatureRef) -> ValueType:
        """The type of a feature, stored or computed on demand."""
        views = {view.name: view for view in self.on_demand_views}
        features = (views.get(ref.view) or self.view(ref.view)).features
        return _find(f"feature of view '{ref.view}'", features, ref.feature).dtype

    def service(self, name: str) -> FeatureServiceSpec:
        return _find("feature service", self.services, name)

    def learner(self, name: str) -> LearnerSpec:
        return _find("learner", self.learners, name)

    def router(self, name: str) -> RouterSpec:
        return _find("router", self.routers, name)

    def views_of(self, source: str) -> tuple[StreamViewSpec, ...]:
        return tuple(v for v in self.stream_views if v.source == source)

    def is_direct(self, view: StreamViewSpec) -> bool:
        """Whether every key of the view is in one partition of its topic, so that no shuffle is needed."""
        source = self.source(view.source)
        return source.partitions == 1 or [k.name for k in view.join_keys] == [source.key_field]

    def router_features(self, router: RouterSpec) -> tuple[FeatureRef, ...]:
        """Every feature that any arm of the router reads, once, in order of first use."""
        seen: dict[FeatureRef, None] = {}
        for arm in router.arms:
            service = self.learner(arm).service
            if service is not None:
                seen.update(dict.fromkeys(self.service(service).features))
        return tuple(seen)

    def logged_features(self, router: RouterSpec) -> tuple[FeatureRef, ...]:
        """What the router reads and logs: the features of its arms, then what their on-demand views are
        computed of, without lists and other values that a prediction cannot hold."""
        refs = self.router_features(router)
        inputs = (ref for ref in self.stored(refs) if self.dtype_of(ref) in LOGGED_TYPES)
        return tuple(dict.fromkeys((*refs, *inputs)))


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedSpec = TypeVar("_NamedSpec", bound=_Named)


def _unreadable(error: ValidationError) -> PlanError:
    """Fields that nobody knows come from a newer version; the first of other faults is told."""
    faults = error.errors(include_url=False, include_context=False)
    where = [(fault["type"], ".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults]
    unknown = [name for kind, name, _ in where if kind == "extra_forbidden"]
    if unknown:
        return PlanError(
            f"the plan has fields that this Headrace does not know: {', '.join(unknown)}; it was applied by "
            "a newer version: install that one, or run `headrace apply` with this one"
        )
    _, name, problem = where[0]
    return PlanError(
        f"the plan cannot be read: {name}: {problem}; run `headrace apply` with the installed version"
    )


def _find(kind: str, specs: tuple[_NamedSpec, ...], name: str) -> _NamedSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise UnknownNameError(kind, name, [spec.name for spec in specs])
