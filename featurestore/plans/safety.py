"""Changes of a plan in force that would break its consumers, or give a name another meaning under them.

Clients, models and logs know a feature by its name alone. So a feature, once applied, keeps its meaning: what
changes gets a new name, consumers move to it, and the old one is removed when none is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.featurestore.plans.consumers import Consumers, consumers_of, consumers_of_services
from headrace.featurestore.plans.diff import ONLINE_STORE
from headrace.featurestore.plans.spec_text import field_change
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FieldSpec,
    OnDemandViewSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec, RouterSpec
from headrace.schemas.spec import Spec

ViewKind = Literal["stream feature view", "feature view", "on demand feature view"]
Stored = StreamViewSpec | BatchViewSpec
View = Stored | OnDemandViewSpec
# Or judged by themselves. A stream view's source is no table.
_SAFE_FIELDS = {"name", "ttl_ms", "table", "features", "aggregations", "join_keys"}
_LENGTH = "length"
_FUNCTION_FIELDS = ("mode", "singleton", "definition")
_SOURCE_FIELDS = ("topic", "timestamp_field", "timestamp_unit")
_ROUTER_FIELDS = ("outcome", "target", "partitions")


@dataclass(frozen=True)
class UnsafeChange:
    """A change that `apply` refuses without ``--allow-unsafe``.

    Attributes
    ----------
    kind, name
        The object, as in `headrace.featurestore.plans.diff.Change`.
    part
        The part that changes, such as ``feature 'mean_1h'``; empty for the whole object.
    problem
        The change and its consequence, with values and consumers.
    remedy
        The safe way.
    """

    kind: str
    name: str
    part: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.part + ': ' if self.part else ''}{self.problem}. {self.remedy}"


def unsafe_changes(old: Plan | None, new: Plan) -> list[UnsafeChange]:
    """Every unsafe change between the plan in force and another, in order of the objects."""
    if old is None:
        return []
    return [
        *_online_store(old, new),
        *_sources(old, new),
        *_views(old, new),
        *_services(old, new),
        *_learners(old, new),
        *_routers(old, new),
    ]


def _online_store(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    """Rows under other keys are not found; with another time to live they are."""
    if old.batch_views or old.stream_views:
        for change in _field_changes(old.online, new.online, ("key_version",)):
            problem = f"{change}; the rows that are there are not found any more"
            remedy = "Keep entity_key_serialization_version, or run `headrace rebuild` after the change"
            yield UnsafeChange(ONLINE_STORE, new.project, "", problem, remedy)


def _sources(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    after = {source.name: source for source in new.sources}
    for source in old.sources:
        if source.name in after and old.views_of(source.name):
            for change in _field_changes(source, after[source.name], _SOURCE_FIELDS):
                problem = f"{change}; its features would go on from other events"
                yield UnsafeChange(
                    "source", source.name, "", problem, "Define a source of a new name, and views on it"
                )


def _views(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    after = {view.name: view for view in _all(new)}
    for view in _all(old):
        kind = kind_of(view)
        if view.name not in after:
            yield from _lost_features(old, view, [f.name for f in view.features])
        elif type(view) is not type(after[view.name]):
            becomes = kind_of(after[view.name])
            problem = f"it becomes {'an' if becomes.startswith('o') else 'a'} {becomes}"
            yield UnsafeChange(kind, view.name, "", problem, "Give the new one a name of its own")
        elif isinstance(view, OnDemandViewSpec):
            yield from _on_demand_view(old, view, new.on_demand_view(view.name))
        else:
            yield from _view(old, view, new.view(view.name))


def _all(plan: Plan) -> tuple[View, ...]:
    return (*plan.stream_views, *plan.batch_views, *plan.on_demand_views)


def kind_of(view: View) -> ViewKind:
    """The kind of a view, as `headrace.featurestore.plans.diff.KINDS` has it."""
    if isinstance(view, OnDemandViewSpec):
        return "on demand feature view"
    return "stream feature view" if isinstance(view, StreamViewSpec) else "feature view"


def _view(old: Plan, before: Stored, after: Stored) -> Iterator[UnsafeChange]:
    kind, name = kind_of(before), before.name
    if before.join_keys != after.join_keys:
        change = f"its entity key ({_typed(before.join_keys)}) becomes ({_typed(after.join_keys)})"
        problem = f"{change}; its rows are not found any more"
        yield UnsafeChange(kind, name, "", problem, "Give the view with the other key a name of its own")
    safe = _SAFE_FIELDS | ({"source"} if isinstance(before, BatchViewSpec) else set())
    fields = [field for field in type(before).model_fields if field not in safe]
    for change in _field_changes(before, after, fields):
        problem = f"{change}; all its features would mean something else"
        yield UnsafeChange(kind, name, "", problem, "Give the new view a name of its own")
    kept = {feature.name for feature in after.features}
    yield from _lost_features(old, before, [f.name for f in before.features if f.name not in kept])
    yield from _changed_features(old, before, after)
    if isinstance(before, BatchViewSpec):
        yield from _shorter_lists(old, before, after)


def _on_demand_view(old: Plan, before: OnDemandViewSpec, after: OnDemandViewSpec) -> Iterator[UnsafeChange]:
    """Unsafe changes of an on-demand view. None of it is stored, so features without consumers may change.

    More inputs make no other function.
    """
    kind, name = kind_of(before), before.name
    consumers = consumers_of(old, [FeatureRef(view=name, feature=f.name) for f in before.features])
    if consumers:
        for change in _field_changes(before, after, _FUNCTION_FIELDS):
            effect = f"all its features would mean something else, and in force {_read_by(consumers)}"
            problem = f"{change}; {effect}"
            yield UnsafeChange(kind, name, "", problem, "Give the new view a name of its own")
        for field in sorted({f.name for f in after.request} - {f.name for f in before.request}):
            problem = f"requests must bring '{field}', or are refused, and in force {_read_by(consumers)}"
            yield UnsafeChange(kind, name, "", problem, "Give the view that asks for it a name of its own")
    kept = {feature.name for feature in after.features}
    yield from _lost_features(old, before, [f.name for f in before.features if f.name not in kept])
    yield from _retyped_features(old, before, after)
    yield from _shorter_lists(old, before, after)


def _retyped_features(old: Plan, before: OnDemandViewSpec, after: OnDemandViewSpec) -> Iterator[UnsafeChange]:
    now = {feature.name: feature for feature in after.features}
    for feature in before.features:
        consumers = consumers_of(old, [FeatureRef(view=before.name, feature=feature.name)])
        fields = ("dtype",) if consumers else ()
        for change in _field_changes(feature, now.get(feature.name, feature), fields):
            problem = f"{change}, and in force {_read_by(consumers)}"
            remedy = "Give the new feature a name of its own"
            yield UnsafeChange(kind_of(before), before.name, f"feature '{feature.name}'", problem, remedy)


def _lost_features(old: Plan, view: View, names: list[str]) -> Iterator[UnsafeChange]:
    for name in names:
        if consumers := consumers_of(old, [FeatureRef(view=view.name, feature=name)]):
            problem = f"it is removed, and in force {_read_by(consumers)}"
            remedy = "Take it out of these first and apply that, then remove it"
            yield UnsafeChange(kind_of(view), view.name, f"feature '{name}'", problem, remedy)


def _changed_features(old: Plan, before: Stored, after: Stored) -> Iterator[UnsafeChange]:
    now = {name: spec for name, spec in _features(after)}
    for name, spec in _features(before):
        fields = [field for field in type(spec).model_fields if field != _LENGTH]
        for change in _field_changes(spec, now.get(name, spec), fields):
            consumers = consumers_of(old, [FeatureRef(view=before.name, feature=name)])
            also = f", and in force {_read_by(consumers)}" if consumers else ""
            problem = f"{change}; rows and logs hold both under one name{also}"
            remedy = "Give the new feature a name of its own"
            yield UnsafeChange(kind_of(before), before.name, f"feature '{name}'", problem, remedy)


def _shorter_lists(old: Plan, before: View, after: View) -> Iterator[UnsafeChange]:
    """Lists of which learners would be given fewer elements; rows do not change."""
    now = {feature.name: feature for feature in after.features}
    for feature in before.features:
        shorter = now.get(feature.name, feature)
        consumers = consumers_of(old, [FeatureRef(view=before.name, feature=feature.name)])
        if shorter.length < feature.length and consumers.learners:
            change = field_change(_LENGTH, feature.length, shorter.length)
            problem = f"{change}, and in force {_read_by(consumers, services=False)}"
            remedy = "Define a second feature with that length, and a learner that reads it"
            yield UnsafeChange(kind_of(before), before.name, f"feature '{feature.name}'", problem, remedy)


def _features(view: Stored) -> list[tuple[str, Spec]]:
    if isinstance(view, StreamViewSpec):
        return [(aggregation.feature, aggregation) for aggregation in view.aggregations]
    return [(feature.name, feature) for feature in view.features]


def _services(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    after = {service.name: service for service in new.services}
    for service in old.services:
        consumers = consumers_of_services(old, [service.name])
        if service.name not in after:
            behind = f", and {_read_by(consumers, services=False)}" if consumers.learners else ""
            problem = f"it is removed; clients ask for it by its name{behind}"
            remedy = "See that nobody asks for it any more"
            yield UnsafeChange("feature service", service.name, "", problem, remedy)
        elif consumers.learners:
            for ref in service.features:
                if ref not in after[service.name].features:
                    part = f"feature '{ref.text}'"
                    problem = f"it is taken out, and in force {_read_by(consumers, services=False)}"
                    remedy = "Define a second service without it, and a learner that reads that"
                    yield UnsafeChange("feature service", service.name, part, problem, remedy)


def _learners(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    after = {learner.name: learner for learner in new.learners}
    for learner in old.learners:
        if learner.name in after and learner.target != after[learner.name].target:
            change = field_change("target", learner.target, after[learner.name].target)
            problem = f"{change}; its model would go on with labels of another meaning"
            yield UnsafeChange("learner", learner.name, "", problem, "Define a learner of a new name")
        elif learner.name in after and (labels := _other_labels(learner, after[learner.name])):
            problem = f"{labels}; labels that are logged are none of the new kind, and are not learned"
            yield UnsafeChange("learner", learner.name, "", problem, "Define a learner of a new name")


def _other_labels(before: LearnerSpec | RouterSpec, after: LearnerSpec | RouterSpec) -> str | None:
    """Tell a change of a target by which labels of before are none any more; None for any other."""
    old, new = before.domain, after.domain
    narrower = (
        old.kind != new.kind
        or not {*old.classes} <= {*new.classes}
        or not all(new.has(bound) for bound in (old.low, old.high) if bound is not None)
    )
    return f"target '{before.target}': {old.text} -> {new.text}" if narrower else None


def _routers(old: Plan, new: Plan) -> Iterator[UnsafeChange]:
    after = {router.name: router for router in new.routers}
    for router in old.routers:
        if router.name not in after:
            problem = "it is removed; clients ask it for predictions by its name"
            remedy = "See that nobody asks it any more"
            yield UnsafeChange("router", router.name, "", problem, remedy)
        else:
            yield from _router(router, after[router.name])


def _router(before: RouterSpec, after: RouterSpec) -> Iterator[UnsafeChange]:
    for change in _field_changes(before, after, _ROUTER_FIELDS):
        problem = f"{change}; predictions that wait for their labels were made under the other"
        yield UnsafeChange(
            "router", before.name, "", problem, "Define a router of a new name, with learners of its own"
        )
    if labels := _other_labels(before, after):
        problem = f"{labels}; predictions that wait for their labels were made under the other"
        remedy = "Define a router of a new name, with learners of its own"
        yield UnsafeChange("router", before.name, "", problem, remedy)
    wanted = {*after.entities, *after.request} - {*before.entities, *before.request}
    for name in sorted(wanted):
        problem = f"requests must bring '{name}', or are refused"
        remedy = "Have all clients send it first; what is not asked for is passed over"
        yield UnsafeChange("router", before.name, "", problem, remedy)


def _field_changes(before: Spec, after: Spec, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield field_change(field, old, new)


def _typed(fields: tuple[FieldSpec, ...]) -> str:
    return ", ".join(f"{field.name}: {field.dtype}" for field in fields)


def _read_by(consumers: Consumers, services: bool = True) -> str:
    change = str(consumers if services else Consumers((), consumers.learners, consumers.routers))
    return f"{change} {'reads' if change.count(', ') == 0 else 'read'} it"
