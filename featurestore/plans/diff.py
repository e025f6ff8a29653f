"""Changes between the plan in force and another, object by object, in lines that a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.featurestore.plans.descriptions_diff import description_changes
from headrace.featurestore.plans.spec_text import aggregation_text, field_change, value_text
from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.feature_specs import (
    AggregationSpec,
    ExpectationSpec,
    FeatureRef,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    UdfSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from headrace.schemas.spec import Spec

# Kinds of objects, by the field of the plan that holds them.
KINDS = {
    "source": "sources",
    "stream feature view": "stream_views",
    "feature view": "batch_views",
    "push source": "push_sources",
    "on demand feature view": "on_demand_views",
    "feature service": "services",
    "learner": "learners",
    "router": "routers",
}
ONLINE_STORE = "online store"
_COMPARED_BY_PARTS = ("reader_schema", "writer_schemas")  # field by field, schema by schema


@dataclass(frozen=True)
class Change:
    """An object that is added (``+``), removed (``-``) or changed (``~``).

    Attributes
    ----------
    sign
        Added, removed or changed.
    kind
        A key of `KINDS`, ``entity`` or ``online store``.
    name
        The name of the object.
    lines
        Changes inside of it, with signs of their own.
    """

    sign: Literal["+", "-", "~"]
    kind: str
    name: str
    lines: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Sign, kind and name, such as ``~ feature service delays``."""
        return f"{self.sign} {self.kind} {self.name}"


def plan_changes(old: Plan | None, new: Plan) -> list[Change]:
    """All changes from one plan to another, in the order of `KINDS`, entities first.

    Parameters
    ----------
    old
        The plan in force, or None when there is none.
    new
        The plan that would be applied.
    """
    changes = [*_online_changes(old, new), *_entity_changes(old, new)]
    for kind, field in KINDS.items():
        before = {spec.name: spec for spec in getattr(old, field, ())}
        after = {spec.name: spec for spec in getattr(new, field)}
        for name in sorted(before.keys() | after.keys()):
            described = description_changes(old, new, kind, name) if name in after else []
            changes += _object_changes(kind, name, before.get(name), after.get(name), described)
    return changes


def _online_changes(old: Plan | None, new: Plan) -> Iterator[Change]:
    lines = list(_field_changes(old.online, new.online)) if old is not None else []
    if lines:
        yield Change("~", ONLINE_STORE, new.project, tuple(lines))


def _entity_changes(old: Plan | None, new: Plan) -> Iterator[Change]:
    """Changes of entities: a plan has their descriptions; their join keys are in the views."""
    names = {each.name for plan in (old, new) if plan for each in plan.descriptions if each.kind == "entity"}
    for name in sorted(names):
        if lines := description_changes(old, new, "entity", name):
            yield Change("~", "entity", name, tuple(lines))


def _object_changes(
    kind: str, name: str, before: Spec | None, after: Spec | None, described: Sequence[str]
) -> Iterator[Change]:
    if before is None and after is not None:
        parts = [f"+ {text}" for text in (*_part_texts(after).values(), *_target_texts(after))]
        yield Change("+", kind, name, (*parts, *described))
    elif after is None:
        yield Change("-", kind, name)
    elif before != after or described:
        assert before is not None
        inside = (*_field_changes(before, after), *_part_changes(before, after))
        yield Change("~", kind, name, (*inside, *described))


def _field_changes(before: Spec, after: Spec, prefix: str = "") -> Iterator[str]:
    for field in type(after).model_fields:
        old, new = getattr(before, field), getattr(after, field)
        if old == new or field in _COMPARED_BY_PARTS or _is_parts(old or new):
            continue
        if isinstance(old, Spec) and isinstance(new, Spec) and not isinstance(old, UdfSpec | DomainSpec):
            yield from _field_changes(old, new, f"{prefix}{field}.")
        else:
            yield f"~ {prefix}{field_change(field, old, new)}"


def _part_changes(before: Spec, after: Spec) -> Iterator[str]:
    old, new = _part_texts(before), _part_texts(after)
    old_specs, new_specs = _part_specs(before), _part_specs(after)
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield f"- {old[name]}"
        elif name not in old:
            yield f"+ {new[name]}"
        elif name in old_specs and name in new_specs and old_specs[name] != new_specs[name]:
            fields = ", ".join(line[2:] for line in _field_changes(old_specs[name], new_specs[name]))
            yield f"~ {new[name].partition(':')[0]}: {fields}"
        elif old[name] != new[name]:
            yield f"~ {old[name]} -> {new[name]}"
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield "~ the order of the features"


def _part_specs(spec: Spec) -> dict[str, Spec]:
    """Features and fields of a view, by name: the parts that can change inside."""
    if isinstance(spec, OnDemandViewSpec):
        requested: dict[str, Spec] = {f"request.{item.name}": item for item in spec.request}
        return requested | {item.name: item for item in spec.features}
    items = [item for field in type(spec).model_fields for item in _parts(getattr(spec, field))]
    features: dict[str, Spec] = {item.feature: item for item in items if isinstance(item, AggregationSpec)}
    return features | {item.name: item for item in items if isinstance(item, FieldSpec)}


def _part_texts(spec: Spec) -> dict[str, str]:
    """The parts of a view, service or source as text, by name."""
    if isinstance(spec, OnDemandViewSpec):
        return _on_demand_part_texts(spec)
    texts: dict[str, str] = {}
    if isinstance(spec, SourceSpec):
        fields = json.loads(spec.reader_schema)["fields"]
        texts.update({f["name"]: f"field {f['name']}: {_avro_text(f)}" for f in fields})
        texts.update({f"#{n}": f"writer schema {n}" for n in spec.writer_schemas})
    for field in type(spec).model_fields:
        texts.update(_part_text(part) for part in _parts(getattr(spec, field)))
    return texts


def _target_texts(spec: Spec) -> Iterator[str]:
    """The target of a learner, where it is not binary."""
    if isinstance(spec, LearnerSpec) and spec.domain != BINARY:
        yield f"target {spec.target}: {value_text(spec.domain)}"


def _on_demand_part_texts(spec: OnDemandViewSpec) -> dict[str, str]:
    return {
        **{f"input.{ref.full_name}": f"input {ref.text}" for ref in spec.inputs},
        **{f"request.{f.name}": f"request field {f.name}: {f.dtype}" for f in spec.request},
        **{f.name: f"feature {f.name}: {f.dtype}" for f in spec.features},
    }


def _part_text(part: Any) -> tuple[str, str]:
    """Name and text of a part."""
    if isinstance(part, AggregationSpec):
        unit = f", quantum {part.quantum:g}" if part.quantum != 1 else ""
        return part.feature, f"feature {part.feature}: {aggregation_text(part)}, {part.dtype}{unit}"
    if isinstance(part, FeatureRef):
        return part.full_name, f"feature {part.text}"
    if isinstance(part, FieldSpec):
        return part.name, f"field {part.name}: {part.dtype}"
    if isinstance(part, ExpectationSpec):
        return f"expect.{part.field}", f"expectation of {part.field}: {part.text}"
    return str(part), value_text(part)


def _avro_text(field: Mapping[str, Any]) -> str:
    branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
    kind = " or ".join(branch if isinstance(branch, str) else json.dumps(branch) for branch in branches)
    return f"{kind}, default {json.dumps(field['default'])}" if "default" in field else kind


def _parts(value: Any) -> tuple[Spec, ...]:
    return value if _is_parts(value) else ()


def _is_parts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, Spec) for item in value) and bool(value)
