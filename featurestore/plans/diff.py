"""What `headrace apply` would change, object by object, in lines a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from headrace.featurestore.plans.descriptions_diff import description_changes, shown
from headrace.schemas.feature_specs import (
    AggregationSpec,
    ColumnSpec,
    ExpectationSpec,
    FeatureRef,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    UdfSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.spec import Spec

KINDS = {
    "source": "sources",
    "stream feature view": "stream_views",
    "feature view": "batch_views",
    "on demand feature view": "on_demand_views",
    "feature service": "services",
    "learner": "learners",
    "router": "routers",
}
_DIGEST = 12  # characters of a hash that tell it from others
_IN_PARTS = ("reader_schema", "writer_schemas")  # told field by field, schema by schema


@dataclass(frozen=True)
class Change:
    """One object that is added (``+``), removed (``-``) or changed (``~``).

    `kind` is a key of `KINDS`, or ``entity``. `lines` tell what changes inside it, with signs
    of their own.
    """

    sign: Literal["+", "-", "~"]
    kind: str
    name: str
    lines: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.sign} {self.kind} {self.name}"


def plan_changes(old: Plan | None, new: Plan) -> list[Change]:
    """Everything that leads from one plan to another; empty when nothing does.

    Parameters
    ----------
    old
        The plan in force, or None when there is none.
    new
        The plan that would be applied.
    """
    changes = list(_entities(old, new))
    for kind, part in KINDS.items():
        before = {spec.name: spec for spec in getattr(old, part, ())}
        after = {spec.name: spec for spec in getattr(new, part)}
        for name in sorted(before.keys() | after.keys()):
            about = description_changes(old, new, kind, name) if name in after else []
            changes += _object(kind, name, before.get(name), after.get(name), about)
    return changes


def _entities(old: Plan | None, new: Plan) -> Iterator[Change]:
    """Entities are in the plan by what is said of them; their join keys are in the views."""
    about = {a.name for plan in (old, new) if plan for a in plan.descriptions if a.kind == "entity"}
    for name in sorted(about):
        if lines := description_changes(old, new, "entity", name):
            yield Change("~", "entity", name, tuple(lines))


def _object(
    kind: str, name: str, before: Spec | None, after: Spec | None, about: Sequence[str]
) -> Iterator[Change]:
    if before is None and after is not None:
        parts = [f"+ {item}" for item in _parts(after).values()]
        yield Change("+", kind, name, (*parts, *about))
    elif after is None:
        yield Change("-", kind, name)
    elif before != after or about:
        assert before is not None
        inside = (*_fields(before, after), *_part_changes(before, after))
        yield Change("~", kind, name, (*inside, *about))


def _fields(before: Spec, after: Spec, prefix: str = "") -> Iterator[str]:
    for field in type(after).model_fields:
        one, other = getattr(before, field), getattr(after, field)
        if one == other or field in _IN_PARTS or _is_parts(one or other):
            continue
        if isinstance(one, Spec) and isinstance(other, Spec) and not isinstance(one, UdfSpec):
            yield from _fields(one, other, f"{prefix}{field}.")
        else:
            yield f"~ {prefix}{field_change(field, one, other)}"


def field_change(field: str, one: Any, other: Any) -> str:
    """``name: before -> after``; milliseconds as durations, hashes cut, of a udf what differs."""
    if isinstance(one, UdfSpec) and isinstance(other, UdfSpec):
        return f"{field}: {', '.join(_udf_changes(one, other))}"
    if field == "definition":
        return f"{field}: {one[:_DIGEST]} -> {other[:_DIGEST]}"
    if field.endswith("_ms"):
        return f"{field.removesuffix('_ms')}: {_duration(field, one)} -> {_duration(field, other)}"
    return f"{field}: {shown(one)} -> {shown(other)}"


def _udf_changes(before: UdfSpec, after: UdfSpec) -> Iterator[str]:
    if before.source != after.source:
        yield f"text {before.digest} -> {after.digest}"
    for verb, old, new in (("takes", before.inputs, after.inputs), ("gives", before.outputs, after.outputs)):
        if old != new:
            one, other = (", ".join(map(column_text, columns)) for columns in (old, new))
            yield f"{verb} {one or 'nothing'} -> {other or 'nothing'}"


def column_text(column: ColumnSpec) -> str:
    """A column of a udf, such as ``amount: double or null``."""
    return f"{column.name}: {column.kind}{' or null' if column.nullable else ''}"


def aggregation_text(spec: AggregationSpec) -> str:
    """What is aggregated over which window, for example ``sum of price over 1:00:00 every 0:05:00``."""
    window, hop = _duration("window_ms", spec.window_ms), _duration("hop_ms", spec.hop_ms)
    over = f"{window} every {hop}" if spec.window_ms else "its lifetime (keys are never forgotten)"
    return f"{spec.function} of {spec.column} over {over}"


def _duration(field: str, duration_ms: int) -> str:
    if duration_ms == 0 and field in ("window_ms", "ttl_ms"):
        return "lifetime" if field == "window_ms" else "none"
    return str(timedelta(milliseconds=duration_ms)).removesuffix(", 0:00:00")


def _part_changes(before: Spec, after: Spec) -> Iterator[str]:
    old, new = _parts(before), _parts(after)
    specs_before, specs_after = _part_specs(before), _part_specs(after)
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield f"- {old[name]}"
        elif name not in old:
            yield f"+ {new[name]}"
        elif name in specs_before and name in specs_after and specs_before[name] != specs_after[name]:
            told = ", ".join(line[2:] for line in _fields(specs_before[name], specs_after[name]))
            yield f"~ {new[name].partition(':')[0]}: {told}"
        elif old[name] != new[name]:
            yield f"~ {old[name]} -> {new[name]}"
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield "~ the order of the features"


def _part_specs(spec: Spec) -> dict[str, Spec]:
    """The features and fields of a view, by name: those that can change inside."""
    if isinstance(spec, OnDemandViewSpec):
        requested: dict[str, Spec] = {f"request.{item.name}": item for item in spec.request}
        return requested | {item.name: item for item in spec.features}
    items = [item for field in type(spec).model_fields for item in _items(getattr(spec, field))]
    features: dict[str, Spec] = {item.feature: item for item in items if isinstance(item, AggregationSpec)}
    return features | {item.name: item for item in items if isinstance(item, FieldSpec)}


def _parts(spec: Spec) -> dict[str, str]:
    """What a view, service or source consists of, described, by name."""
    found: dict[str, str] = {}
    if isinstance(spec, SourceSpec):
        fields = json.loads(spec.reader_schema)["fields"]
        found.update({f["name"]: f"field {f['name']}: {_avro(f)}" for f in fields})
        found.update({f"#{n}": f"writer schema {n}" for n in spec.writer_schemas})
    if isinstance(spec, OnDemandViewSpec):
        return _parts_on_demand(spec)
    for field in type(spec).model_fields:
        found.update(_described(item) for item in _items(getattr(spec, field)))
    return found


def _parts_on_demand(spec: OnDemandViewSpec) -> dict[str, str]:
    return {
        **{f"input.{ref.full_name}": f"input {ref.view}:{ref.feature}" for ref in spec.inputs},
        **{f"request.{f.name}": f"request field {f.name}: {f.dtype}" for f in spec.request},
        **{f.name: f"feature {f.name}: {f.dtype}" for f in spec.features},
    }


def _avro(field: Mapping[str, Any]) -> str:
    branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
    kind = " or ".join(each if isinstance(each, str) else json.dumps(each) for each in branches)
    return f"{kind}, default {json.dumps(field['default'])}" if "default" in field else kind


def _items(value: Any) -> tuple[Spec, ...]:
    return value if _is_parts(value) else ()


def _is_parts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, Spec) for item in value) and bool(value)


def _described(item: Any) -> tuple[str, str]:
    if isinstance(item, AggregationSpec):
        unit = f", quantum {item.quantum:g}" if item.quantum != 1 else ""
        return item.feature, f"feature {item.feature}: {aggregation_text(item)}, {item.dtype}{unit}"
    if isinstance(item, FeatureRef):
        return item.full_name, f"feature {item.view}:{item.feature}"
    if isinstance(item, FieldSpec):
        return item.name, f"field {item.name}: {item.dtype}"
    if isinstance(item, ExpectationSpec):
        return f"expect.{item.field}", f"expectation of {item.field}: {item.text}"
    return str(item), shown(item)
