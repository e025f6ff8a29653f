"""What changes in the owners, descriptions, tags and expectations of a plan's objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.schemas.feature_specs import UdfSpec
from headrace.schemas.plan import DescriptionSpec, Plan
from headrace.schemas.spec import Spec

_LONGEST = 60  # characters of a value that are worth showing


def description_changes(old: Plan | None, new: Plan, kind: str, name: str) -> list[str]:
    """Lines about one object, and about its features where it is a view."""
    before, after = _said(old, kind), _said(new, kind)
    lines = list(_lines("", before.get(name), after.get(name)))
    if "view" in kind:
        before, after = _said(old, "feature"), _said(new, "feature")
        for full in sorted(f for f in before.keys() | after.keys() if f.startswith(f"{name}:")):
            part = f"feature {full.removeprefix(f'{name}:')}, "
            lines += _lines(part, before.get(full), after.get(full))
        lines += _differing("", _expected(old, name), _expected(new, name))
    return lines


def _expected(plan: Plan | None, view: str) -> dict[str, str]:
    found = [each for each in (plan.expectations if plan else ()) if each.view == view]
    return {f"expectation of {spec.field}": spec.text for each in found for spec in each.features}


def _said(plan: Plan | None, kind: str) -> dict[str, DescriptionSpec]:
    return {about.name: about for about in (plan.descriptions if plan else ()) if about.kind == kind}


def _lines(part: str, before: DescriptionSpec | None, after: DescriptionSpec | None) -> Iterator[str]:
    yield from _differing(part, _told(before), _told(after))


def _differing(part: str, one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(one.keys() | other.keys()):
        if name not in other:
            yield f"- {part}{name}: {shown(one[name])}"
        elif name not in one:
            yield f"+ {part}{name}: {shown(other[name])}"
        elif one[name] != other[name]:
            yield f"~ {part}{name}: {shown(one[name])} -> {shown(other[name])}"


def _told(about: DescriptionSpec | None) -> dict[str, str]:
    if about is None:
        return {}
    plain = {"owner": about.owner, "description": about.description}
    return {k: v for k, v in plain.items() if v} | {f"tag {k}": v for k, v in about.tags.items()}


def shown(value: Any) -> str:
    """A value as text, cut where it is long."""
    if isinstance(value, UdfSpec):
        return f"{value.digest} of {', '.join(column.name for column in value.inputs)}"
    if isinstance(value, Spec):
        value = value.model_dump(mode="json")
    many = isinstance(value, Sequence) and not isinstance(value, str)
    text = ", ".join(map(str, value)) if many else "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
