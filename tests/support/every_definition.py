"""A plan with every kind of definition in it, and each of its fields changed, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from headrace.schemas.domains import DomainSpec
from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    ColumnSpec,
    ExpectationSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    TableSpec,
    UdfSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.follows_from import EVERYTHING, FOLLOWS_FROM, NOTHING, StoredThing
from headrace.schemas.plan import DescriptionSpec, OnlineStoreSpec, Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.schemas.router_specs import LearnerSpec, OutcomeSpec, PolicySpec, RouterSpec
from headrace.schemas.spec import Spec
from tests.support.join_builders import a_router
from tests.support.purchases import EVENT_SCHEMA, SHOP, USER, purchases_plan

RETURNS = "returns"  # a topic without views
AGE = FeatureRef(view="profile", feature="age")
REQUEST = FieldSpec(name="basket", dtype="Float64")
WHOLE = ExpectationSpec(field="items", least=0, most=9, categories=("1", "2"), null_share=0.5, fresh_ms=5)
SIEVE = UdfSpec(source="def sieve(rows): ...", inputs=(), outputs=())
UDF = UdfSpec(
    source="def double(rows): ...",
    inputs=(ColumnSpec(name="items", kind="long"),),
    outputs=(ColumnSpec(name="items", kind="long"), ColumnSpec(name="twice", kind="long")),
)
WIDER = json.loads(EVENT_SCHEMA)
WIDER["fields"].append({"name": "till", "type": ["null", "long"], "default": None})
WIDER_SCHEMA = json.dumps(WIDER)


def every_definition(project: str = "p") -> Plan:
    """Two views on a topic, one with a udf and behind the shuffle; a table; a router with two arms."""
    base = purchases_plan(project)
    source = base.sources[0].model_copy(
        update={
            "expectations": (
                WHOLE,
                WHOLE.model_copy(update={"field": "amount", "quarantine": True}),
            )
        }
    )
    of_user, of_shop = base.stream_views[:2]
    spent = next(a for a in of_user.aggregations if a.function == "sum" and a.column == "amount")
    distinct = next(a for a in of_user.aggregations if a.function == "count_distinct")
    items = of_shop.aggregations[0].model_copy(update={"feature": "n", "function": "sum", "column": "items"})
    views = (
        of_user.model_copy(update={"aggregations": (spent, distinct)}),
        of_shop.model_copy(update={"aggregations": (items,), "udf": UDF, "ttl_ms": 5000}),
    )
    ages = BatchViewSpec(
        name="profile",
        join_keys=(USER,),
        features=(
            FieldSpec(name="tastes", dtype="Array(Int64)", length=3),
            FieldSpec(name="age", dtype="Int64"),
        ),
        ttl_ms=1000,
        table="profiles",
        source=TableSpec(place="data/p.parquet", timestamp_field="at", created_field="made", options="0"),
    )
    refs = (FeatureRef(view="by_user", feature=spent.feature), AGE)
    ratio = OnDemandViewSpec(
        name="ratio",
        mode="python",
        inputs=refs[:1],
        request=(REQUEST,),
        features=(FieldSpec(name="share", dtype="Float64"),),
        file="features.py",
        definition="d",
    )
    return Plan(
        project=project,
        sources=(
            source,
            source.model_copy(update={"name": RETURNS, "topic": f"{project}.returns", "shards": 0}),
        ),
        stream_views=views,
        batch_views=(ages,),
        on_demand_views=(ratio,),
        services=(
            FeatureServiceSpec(name="all", features=refs),
            FeatureServiceSpec(name="few", features=refs[:1]),
        ),
        learners=tuple(
            LearnerSpec(name=name, service="all", request=("basket",), target="bought", definition=name)
            for name in ("tree", "line")
        ),
        routers=(
            a_router(
                1000,
                name="main",
                arms=("tree", "line"),
                champion="tree",
                target="bought",
                unit="user",
                entities=("user",),
                partitions=2,
                outcome=OutcomeSpec(source=source.name, key_field="user", label_field="items"),
                policy=PolicySpec(shares={"tree": 0.5, "line": 0.5}),
            ),
        ),
        expectations=(
            ViewExpectationsSpec(
                view="by_user", features=(WHOLE.model_copy(update={"field": spent.feature}),)
            ),
        ),
        descriptions=(DescriptionSpec(kind="feature service", name="all", owner="ann", tags={"a": "b"}),),
        push_sources=(PushSourceSpec(name="pushed", timestamp_field="at", views=("profile",)),),
    )


@dataclass(frozen=True)
class FieldChange:
    """One field of a definition, changed.

    Attributes
    ----------
    name
        Where the field is, such as ``sources[0].late_tiles``.
    declared
        The stored things that follow from it by the table.
    plan
        The plan with the change.
    """

    name: str
    declared: frozenset[StoredThing]
    plan: Plan


def field_changes(plan: Plan) -> Iterator[FieldChange]:
    """Every field of every definition of a plan, changed one at a time."""
    for name, things, changed in _changes(plan, EVERYTHING):
        yield FieldChange(name, things, _without_dangling(changed))


def _without_dangling(plan: Plan) -> Plan:
    """Take out of services and functions what views do not have; nothing stored follows from them."""
    views = (*plan.stream_views, *plan.batch_views)
    there = {FeatureRef(view=view.name, feature=field.name) for view in views for field in view.features}

    def kept(refs: tuple[FeatureRef, ...]) -> tuple[FeatureRef, ...]:
        return tuple(ref for ref in refs if ref.definition in there)

    functions = [view.model_copy(update={"inputs": kept(view.inputs)}) for view in plan.on_demand_views]
    services = [each.model_copy(update={"features": kept(each.features)}) for each in plan.services]
    return plan.model_copy(update={"on_demand_views": tuple(functions), "services": tuple(services)})


def _changes(spec: Spec, things: frozenset[StoredThing]) -> Iterator[tuple[str, frozenset[StoredThing], Any]]:
    for field in type(spec).model_fields:
        value, of_field = getattr(spec, field), things & FOLLOWS_FROM[type(spec)][field]
        if isinstance(value, Spec):
            for name, found, changed in _changes(value, of_field):
                yield f"{field}.{name}", found, spec.model_copy(update={field: changed})
        elif isinstance(value, tuple) and value and isinstance(value[0], Spec):
            for number, item in enumerate(value):
                if getattr(item, "name", "") in (RETURNS, "few"):
                    continue  # they are there to be changed to
                counts = isinstance(item, ExpectationSpec) and not item.quarantine
                for name, found, changed in _changes(item, of_field):
                    items = (*value[:number], changed, *value[number + 1 :])
                    declared = NOTHING if counts and not changed.quarantine else found
                    yield f"{field}[{number}].{name}", declared, spec.model_copy(update={field: items})
        is_replaced = not isinstance(value, Spec) or (type(spec), field) in _VALUES
        if (type(spec), field) not in _SETS | _NAMES and is_replaced:
            yield field, of_field, spec.model_copy(update=_change(spec, field))


# With one more or one less of these nothing of the others changes.
_SETS = {(Plan, field) for field in Plan.model_fields} | {(ViewExpectationsSpec, "features")}
# An object of another name is another object.
_NAMED = (
    SourceSpec,
    StreamViewSpec,
    BatchViewSpec,
    OnDemandViewSpec,
    FeatureServiceSpec,
    LearnerSpec,
    RouterSpec,
)
_NAMES = {(spec, "name") for spec in _NAMED}
# Fields that cannot have just any other value.
_VALUES: dict[tuple[type[Spec], str], Callable[[Any], dict[str, Any]]] = {
    (SourceSpec, "format"): lambda spec: {"format": "json"},
    (SourceSpec, "reader_schema"): lambda spec: {
        "reader_schema": WIDER_SCHEMA,
        "writer_schemas": {**spec.writer_schemas, 8: WIDER_SCHEMA},
    },
    (SourceSpec, "writer_schemas"): lambda spec: {"writer_schemas": {**spec.writer_schemas, 9: WIDER_SCHEMA}},
    (SourceSpec, "timestamp_field"): lambda spec: {"timestamp_field": "user"},
    (SourceSpec, "timestamp_unit"): lambda spec: {"timestamp_unit": "us"},
    (SourceSpec, "key_field"): lambda spec: {"key_field": "shop"},
    (SourceSpec, "tile_ms"): lambda spec: {"tile_ms": spec.tile_ms // 2},
    (SourceSpec, "partitions"): lambda spec: {"partitions": 4},
    (SourceSpec, "expectations"): lambda spec: {"expectations": spec.expectations[:1]},
    (ExpectationSpec, "field"): lambda spec: {"field": "amount" if spec.field == "items" else "items"},
    (StreamViewSpec, "source"): lambda spec: {"source": RETURNS},
    (StreamViewSpec, "join_keys"): lambda spec: {"join_keys": (SHOP, USER)},
    (StreamViewSpec, "aggregations"): lambda spec: {
        "aggregations": (*spec.aggregations, spec.aggregations[0].model_copy(update={"feature": "one_more"}))
    },
    (StreamViewSpec, "udf"): lambda spec: {"udf": None if spec.udf else SIEVE},
    (AggregationSpec, "function"): lambda spec: {"function": "min" if spec.function == "sum" else "count"},
    (AggregationSpec, "column"): lambda spec: {"column": "items" if spec.column == "amount" else "amount"},
    (AggregationSpec, "window_ms"): lambda spec: {"window_ms": spec.window_ms * 2},
    (AggregationSpec, "hop_ms"): lambda spec: {"hop_ms": spec.window_ms},
    (AggregationSpec, "dtype"): lambda spec: {"dtype": spec.dtype.replace("64", "32")},
    (ColumnSpec, "name"): lambda spec: {"name": "amount" if spec.name == "items" else "thrice"},
    (ColumnSpec, "kind"): lambda spec: {"kind": "double"},
    (UdfSpec, "inputs"): lambda spec: {"inputs": (*spec.inputs, ColumnSpec(name="amount", kind="double"))},
    (UdfSpec, "outputs"): lambda spec: {"outputs": (*spec.outputs, ColumnSpec(name="more", kind="long"))},
    (FieldSpec, "name"): lambda spec: {
        "name": {"user": "shop", "shop": "note"}.get(spec.name, f"{spec.name}x")
    },
    (FieldSpec, "dtype"): lambda spec: {"dtype": spec.dtype.replace("64", "32").replace("String", "Int64")},
    (BatchViewSpec, "join_keys"): lambda spec: {"join_keys": (SHOP, USER)},
    (BatchViewSpec, "features"): lambda spec: {"features": spec.features[:1]},
    (BatchViewSpec, "source"): lambda spec: {"source": None},
    (OnlineStoreSpec, "key_version"): lambda spec: {"key_version": 2},
    (OnDemandViewSpec, "mode"): lambda spec: {"mode": "pandas"},
    (OnDemandViewSpec, "inputs"): lambda spec: {"inputs": (*spec.inputs, AGE)},
    (OnDemandViewSpec, "request"): lambda spec: {"request": ()},
    (OnDemandViewSpec, "features"): lambda spec: {"features": (*spec.features, REQUEST)},
    (FeatureRef, "view"): lambda spec: {"view": AGE.view if spec != AGE else "by_shop"},
    (FeatureRef, "join_key_map"): lambda spec: {"join_key_map": (("user", "buyer"),)},
    (FeatureServiceSpec, "features"): lambda spec: {"features": spec.features[:1]},
    (ViewExpectationsSpec, "view"): lambda spec: {"view": "by_shop"},
    (LearnerSpec, "service"): lambda spec: {"service": "few"},
    (DomainSpec, "kind"): lambda spec: {"kind": "category"},
    (DomainSpec, "low"): lambda spec: {"low": 0.0},
    (DomainSpec, "high"): lambda spec: {"high": 1.0},
    (DomainSpec, "quantile"): lambda spec: {"quantile": 0.5},
    (OutcomeSpec, "source"): lambda spec: {"source": RETURNS},
    (OutcomeSpec, "id_field"): lambda spec: {"id_field": "note"},
    (PolicySpec, "kind"): lambda spec: {"kind": "epsilon_greedy"},
    (PolicySpec, "posterior"): lambda spec: {"posterior": "normal"},
    (PolicySpec, "shares"): lambda spec: {"shares": {"tree": 1.0, "line": 0.0}},
    (RouterSpec, "arms"): lambda spec: {"arms": spec.arms[::-1]},
    (RouterSpec, "champion"): lambda spec: {"champion": "line"},
    (RouterSpec, "outcome"): lambda spec: {"outcome": None},
    (RouterSpec, "missing"): lambda spec: {"missing": "negative"},
    (RouterSpec, "duplicates"): lambda spec: {"duplicates": "last"},
    (RouterSpec, "feedback"): lambda spec: {"feedback": "arm"},
    (RouterSpec, "reward"): lambda spec: {"reward": "accuracy"},
    (DescriptionSpec, "kind"): lambda spec: {"kind": "entity"},
    (PushSourceSpec, "field_mapping"): lambda spec: {"field_mapping": (("years", "age"),)},
}


def _change(spec: Spec, field: str) -> dict[str, Any]:
    """Another value of a field: one of `_VALUES`, or one of the same type."""
    if change := _VALUES.get((type(spec), field)):
        return change(spec)
    value = getattr(spec, field)
    if isinstance(value, bool):
        return {field: not value}
    if isinstance(value, int):
        return {field: value + 1}
    if isinstance(value, float):
        return {field: value / 2 or 0.125}
    if isinstance(value, str):
        return {field: f"{value}x"}
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return {field: (*value, "more")}
    if isinstance(value, dict):
        return {field: {**value, "more": "1"}}
    raise AssertionError(f"say in _VALUES what {type(spec).__name__}.{field} may be changed to")
