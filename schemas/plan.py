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

from pydantic import BaseModel, ConfigDict

from schemas.errors import PlanError, UnknownNameError

ValueType = Literal["Int32", "Int64", "Float32", "Float64", "String", "Bool", "UnixTimestamp"]
PLAN_VERSION = 1


class Spec(BaseModel):
    """A frozen part of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldSpec(Spec):
    name: str
    dtype: ValueType


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


class StreamViewSpec(Spec):
    """A stream feature view. `join_keys` are sorted by name, as Feast sorts them."""

    name: str
    source: str
    join_keys: tuple[FieldSpec, ...]
    aggregations: tuple[AggregationSpec, ...]
    ttl_ms: int = 0  # 0: never expires

    @property
    def features(self) -> tuple[FieldSpec, ...]:
        return tuple(FieldSpec(name=a.feature, dtype=a.dtype) for a in self.aggregations)


class BatchViewSpec(Spec):
    """A batch feature view, materialised from its table by way of Feast."""

    name: str
    join_keys: tuple[FieldSpec, ...]
    features: tuple[FieldSpec, ...]
    ttl_ms: int = 0


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
            raw: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise PlanError(f"the plan is not JSON ({error}); run `headrace apply` again") from error
        if raw.get("version") != PLAN_VERSION:
            raise PlanError(
                f"the plan has version {raw.get('version')!r}, this Headrace reads {PLAN_VERSION}; "
                "run `headrace apply` with the installed version"
            )
        return cls.model_validate(raw)

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


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedSpec = TypeVar("_NamedSpec", bound=_Named)


def _find(kind: str, specs: tuple[_NamedSpec, ...], name: str) -> _NamedSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise UnknownNameError(kind, name, [spec.name for spec in specs])
