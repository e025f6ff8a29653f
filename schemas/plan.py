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

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import PlanError, UnknownNameError
from headrace.schemas.event_times import DEFAULT_MAX_FUTURE_MS, short
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.feature_types import LOGGED_TYPES, ValueType
from headrace.schemas.logged_names import LoggedName, logged_names
from headrace.schemas.names import PartName
from headrace.schemas.numbers import Seconds
from headrace.schemas.push_specs import PushSourceSpec
from headrace.schemas.router_specs import LearnerSpec, RouterSpec
from headrace.schemas.spec import Spec
from headrace.schemas.topics import ProjectTopics

ObjectKind = Literal[
    "entity", "source", "stream feature view", "feature view", "on demand feature view", "feature",
    "feature service",
]  # fmt: skip
PLAN = Encoding(
    version=1,
    remedy="run `headrace apply` with the installed version",
    error=PlanError,
)


class DescriptionSpec(Spec):
    """Owner, description and tags of an object, for people; no process reads them.

    They stand apart from the object, so that a new owner is no new definition. The name of a feature is
    ``view:feature``. `tags` has only those that Headrace does not read itself.
    """

    kind: ObjectKind
    name: str
    owner: str = ""
    description: str = ""
    tags: dict[str, str] = Field(default={})


class OnlineStoreSpec(Spec):
    """How Feast keeps rows in Redis, as ``feature_store.yaml`` says.

    Attributes
    ----------
    key_ttl_s
        Seconds from the last write of an entity until Redis forgets it: ``key_ttl_seconds``. 0: never.
    key_version
        Layout of the keys of entities: ``entity_key_serialization_version``.
    """

    key_ttl_s: Seconds = 0
    key_version: Literal[2, 3] = 3


def _is_empty(value: tuple[object, ...]) -> bool:
    """Whether it is left out of the JSON of a plan, as `_is_default` is."""
    return not value


def _is_default(online: OnlineStoreSpec) -> bool:
    """Whether it is left out of the JSON of a plan, which is then that of before there was the field."""
    return online == OnlineStoreSpec()


class Plan(Spec):
    """Everything the processes need to know, compiled from the repository."""

    model_config = ConfigDict(populate_by_name=True)

    version: int = PLAN.version
    project: PartName
    sources: tuple[SourceSpec, ...] = ()
    stream_views: tuple[StreamViewSpec, ...] = ()
    batch_views: tuple[BatchViewSpec, ...] = ()
    on_demand_views: tuple[OnDemandViewSpec, ...] = ()
    services: tuple[FeatureServiceSpec, ...] = ()
    learners: tuple[LearnerSpec, ...] = ()
    routers: tuple[RouterSpec, ...] = ()
    expectations: tuple[ViewExpectationsSpec, ...] = ()
    descriptions: tuple[DescriptionSpec, ...] = Field(
        default=(), validation_alias="about", serialization_alias="about"
    )
    online: OnlineStoreSpec = Field(default=OnlineStoreSpec(), exclude_if=_is_default)
    push_sources: tuple[PushSourceSpec, ...] = Field(default=(), exclude_if=_is_empty)

    @model_validator(mode="after")
    def _check_tiles(self) -> Self:
        tile_ms = {source.name: source.tile_ms for source in self.sources}
        for view in self.stream_views:
            for feature in view.aggregations:
                if feature.hop_ms % tile_ms.get(view.source, 1):
                    raise ValueError(
                        f"hop_ms {feature.hop_ms} of {view.name}:{feature.feature} is no multiple of tile_ms "
                        f"{tile_ms[view.source]} of its source"
                    )
        return self

    @cached_property
    def topics(self) -> ProjectTopics:
        """Names of the topics that Headrace owns."""
        return ProjectTopics(self.project)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return _hash(self._persisted())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the plan as pydantic does; the copy has a hash of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("hash", None)
        return copied

    def _persisted(self) -> dict[str, Any]:
        """Return the plan as it is hashed and stored, by persisted names."""
        return self.model_dump(mode="json", by_alias=True)

    def to_json(self) -> str:
        """Return the plan as JSON, for `from_json`."""
        return json.dumps(self._persisted(), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Parse a plan. Its text is not compared with a hash.

        Raises
        ------
        PlanError
            When the text is not a plan, or is of another version of Headrace.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanError(f"the plan is not JSON ({error}); run `headrace apply` again") from error
        if not isinstance(raw, dict):
            raise PlanError(f"the plan is a {type(raw).__name__}, not an object; run `headrace apply` again")
        PLAN.check_version(raw.get("version"), "the plan")
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise _unreadable(error) from error

    def description_of(self, kind: ObjectKind, name: str) -> DescriptionSpec:
        """Return owner, description and tags of an object; empty where the repository has none."""
        matching = (each for each in self.descriptions if (each.kind, each.name) == (kind, name))
        return next(matching, DescriptionSpec(kind=kind, name=name))

    def source(self, name: str) -> SourceSpec:
        """Return the source of that name, or raise an `UnknownNameError`."""
        return _find("source", self.sources, name)

    def push_source(self, name: str) -> PushSourceSpec:
        """Return the push source of that name, or raise an `UnknownNameError`."""
        return _find("push source", self.push_sources, name)

    def views_on(self, source: PushSourceSpec) -> list[BatchViewSpec]:
        """Return the batch views that a push source feeds."""
        return [view for view in self.batch_views if view.name in source.views]

    def pushed_views(self) -> frozenset[str]:
        """Return the names of the views that rows are pushed to."""
        return frozenset(view for source in self.push_sources for view in source.views)

    def stream_view(self, name: str) -> StreamViewSpec:
        """Return the stream feature view of that name, or raise an `UnknownNameError`."""
        return _find("stream feature view", self.stream_views, name)

    def view(self, name: str) -> StreamViewSpec | BatchViewSpec:
        """Return the stream or batch feature view of that name, or raise an `UnknownNameError`."""
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*self.stream_views, *self.batch_views)
        return _find("feature view", views, name)

    def on_demand_view(self, name: str) -> OnDemandViewSpec:
        """Return the on-demand feature view of that name, or raise an `UnknownNameError`."""
        return _find("on demand feature view", self.on_demand_views, name)

    def stored(self, refs: Iterable[FeatureRef]) -> tuple[FeatureRef, ...]:
        """Return the features to read from the online store: these, or inputs of on-demand views."""
        on_demand = {view.name: view.inputs for view in self.on_demand_views}
        return tuple(dict.fromkeys(read for ref in refs for read in on_demand.get(ref.view, (ref,))))

    def request_keys(self, refs: Iterable[FeatureRef]) -> tuple[FieldSpec, ...]:
        """Return the join keys that a request for features brings, by its names for them, each once.

        These are those of the views behind on-demand views as well.
        """
        keys = (key for ref in self.stored(refs) for key in ref.request_keys(self.view(ref.view).join_keys))
        return tuple(dict.fromkeys(keys))

    def on_demand_of(self, refs: Iterable[FeatureRef]) -> tuple[OnDemandViewSpec, ...]:
        """Return the on-demand views of features."""
        views = {ref.view for ref in refs}
        return tuple(view for view in self.on_demand_views if view.name in views)

    def on_demand_named(self, refs: Iterable[FeatureRef]) -> tuple[tuple[OnDemandViewSpec, str], ...]:
        """Return the on-demand views of features, each with the name that it is read by."""
        named = dict.fromkeys((ref.view, ref.view_name) for ref in refs)
        return tuple((view, name) for view in self.on_demand_views for own, name in named if own == view.name)

    def dtype_of(self, ref: FeatureRef) -> ValueType:
        """Return the type of a feature, stored or computed on demand."""
        return self._field(ref).dtype

    def logged_names(self, ref: FeatureRef) -> tuple[LoggedName, ...]:
        """Return what stands for a feature in predictions; see `headrace.schemas.logged_names`."""
        return logged_names(ref.full_name, self._field(ref))

    def _field(self, ref: FeatureRef) -> FieldSpec:
        views = {view.name: view for view in self.on_demand_views}
        features = (views.get(ref.view) or self.view(ref.view)).features
        return _find(f"feature of view '{ref.view}'", features, ref.feature)

    def service(self, name: str) -> FeatureServiceSpec:
        """Return the feature service of that name, or raise an `UnknownNameError`."""
        return _find("feature service", self.services, name)

    def learner(self, name: str) -> LearnerSpec:
        """Return the learner of that name, or raise an `UnknownNameError`."""
        return _find("learner", self.learners, name)

    def router(self, name: str) -> RouterSpec:
        """Return the router of that name, or raise an `UnknownNameError`."""
        return _find("router", self.routers, name)

    @property
    def needs_kafka(self) -> bool:
        """Whether there are stream feature views or routers. All else is in tables and in Redis."""
        return bool(self.stream_views or self.routers)

    def views_of(self, source: str) -> tuple[StreamViewSpec, ...]:
        """Return the stream feature views on a source."""
        return tuple(v for v in self.stream_views if v.source == source)

    def max_future_ms(self, router: RouterSpec) -> int:
        """Return how far ahead of its append time a record or mark of a router may be.

        Outcomes may be as far ahead as the events that they are taken from.
        """
        source = None if router.outcome is None else self.source(router.outcome.source)
        return max(DEFAULT_MAX_FUTURE_MS, source.max_future_ms if source is not None else 0)

    def is_direct(self, view: StreamViewSpec) -> bool:
        """Whether every key of the view is in one partition of its topic, so that no shuffle is needed."""
        source = self.source(view.source)
        return source.partitions == 1 or [k.name for k in view.join_keys] == [source.key_field]

    def router_features(self, router: RouterSpec) -> tuple[FeatureRef, ...]:
        """Return each feature that an arm of the router reads, once, in order of first use."""
        seen: dict[FeatureRef, None] = {}
        for arm in router.arms:
            service = self.learner(arm).service
            if service is not None:
                seen.update(dict.fromkeys(self.service(service).features))
        return tuple(seen)

    def logged_features(self, router: RouterSpec) -> tuple[FeatureRef, ...]:
        """Return the features that the router reads and logs.

        These are the features of its arms, then the inputs of their on-demand views, of these without lists
        and other values that a prediction does not hold as they are.
        """
        refs = self.router_features(router)
        inputs = (ref for ref in self.stored(refs) if self.dtype_of(ref) in LOGGED_TYPES)
        return tuple(dict.fromkeys((*refs, *inputs)))


def text_hash(text: str) -> str | None:
    """Return the hash of a plan's JSON, whatever fields it has; None of a text that is no JSON.

    Equal to `Plan.hash` for a plan that this version wrote. A plan that another wrote keeps the hash of then,
    though fields with defaults may have come since.
    """
    try:
        return _hash(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _hash(raw: Any) -> str:
    canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedSpec = TypeVar("_NamedSpec", bound=_Named)


def _unreadable(error: ValidationError) -> PlanError:
    """Say why a text is no plan: fields that a newer version has written, or the first fault."""
    faults = error.errors(include_url=False, include_context=False)
    where = [(fault["type"], ".".join(map(str, fault["loc"])), _problem(fault)) for fault in faults]
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


def _problem(fault: ErrorDetails) -> str:
    """Say what is wrong with a field, and of a number which it is."""
    found = fault["input"]
    if isinstance(found, int):
        return f"{fault['msg']}, not {short(found)}"
    return f"{fault['msg']}, not {found:g}" if isinstance(found, float) else fault["msg"]


def _find(kind: str, specs: tuple[_NamedSpec, ...], name: str) -> _NamedSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise UnknownNameError(kind, name, [spec.name for spec in specs])
