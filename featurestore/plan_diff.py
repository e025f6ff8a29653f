"""What `headrace apply` would change, in lines a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from schemas.plan import AggregationSpec, FeatureRef, FieldSpec, Plan, Spec

_KINDS = {
    "source": "sources",
    "stream feature view": "stream_views",
    "feature view": "batch_views",
    "on demand feature view": "on_demand_views",
    "feature service": "services",
    "learner": "learners",
    "router": "routers",
}
_LONGEST = 60  # characters of a value that are worth showing


def plan_diff(old: Plan | None, new: Plan) -> list[str]:
    """Lines that lead from one plan to another.

    Parameters
    ----------
    old
        The plan in force, or None when there is none.
    new
        The plan that would be applied.

    Returns
    -------
    list of str
        ``+`` for added, ``-`` for removed, ``~`` for changed; empty when nothing changes. What changes
        inside an object follows it, indented.
    """
    lines: list[str] = []
    for kind, part in _KINDS.items():
        before = {spec.name: spec for spec in getattr(old, part, ())}
        after = {spec.name: spec for spec in getattr(new, part)}
        for name in sorted(before.keys() | after.keys()):
            lines += _object(f"{kind} {name}", before.get(name), after.get(name))
    return lines


def _object(title: str, before: Spec | None, after: Spec | None) -> Iterator[str]:
    if before == after:
        return
    if before is None or after is None:
        yield f"{'+' if before is None else '-'} {title}"
        if after is not None:
            yield from (f"    + {item}" for item in _parts(after).values())
        return
    yield f"~ {title}"
    yield from _fields(before, after)
    yield from _part_changes(_parts(before), _parts(after))


def _fields(before: Spec, after: Spec) -> Iterator[str]:
    for field in type(after).model_fields:
        one, other = getattr(before, field), getattr(after, field)
        if one != other and not _is_parts(one or other):
            yield f"    ~ {field}: {_shown(one)} -> {_shown(other)}"


def _part_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield f"    - {before[name]}"
        elif name not in before:
            yield f"    + {after[name]}"
        elif before[name] != after[name]:
            yield f"    ~ {before[name]} -> {after[name]}"
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield "    ~ the order of the features"


def _parts(spec: Spec) -> dict[str, str]:
    """Features of a view or service, described, by name."""
    found: dict[str, str] = {}
    for field in type(spec).model_fields:
        value = getattr(spec, field)
        if _is_parts(value):
            found.update(_described(item) for item in value)
    return found


def _is_parts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, Spec) for item in value) and bool(value)


def _described(item: AggregationSpec | FieldSpec | FeatureRef) -> tuple[str, str]:
    if isinstance(item, AggregationSpec):
        window, hop = timedelta(milliseconds=item.window_ms), timedelta(milliseconds=item.hop_ms)
        over = f"{window} every {hop}" if item.window_ms else "its lifetime (keys are never forgotten)"
        text = f"feature {item.feature}: {item.function} of {item.column} over {over}"
        unit = f", quantum {item.quantum:g}" if item.quantum != 1 else ""
        return item.feature, f"{text}, {item.dtype}{unit}"
    if isinstance(item, FeatureRef):
        return item.full_name, f"feature {item.view}:{item.feature}"
    return item.name, f"field {item.name}: {item.dtype}"


def _shown(value: Any) -> str:
    if isinstance(value, Spec):
        value = value.model_dump(mode="json")
    text = (
        ", ".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
