"""Changes of the owners, descriptions, tags and expectations of a plan's objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.featurestore.plans.spec_text import value_text
from headrace.schemas.plan import DescriptionSpec, Plan


def description_changes(old: Plan | None, new: Plan, kind: str, name: str) -> list[str]:
    """Changes of one object, and of its features where it is a view: one line each, with its sign."""
    before, after = _descriptions(old, kind), _descriptions(new, kind)
    lines = list(_changes("", _texts(before.get(name)), _texts(after.get(name))))
    if "view" in kind:
        before, after = _descriptions(old, "feature"), _descriptions(new, "feature")
        for full_name in sorted(f for f in before.keys() | after.keys() if f.startswith(f"{name}:")):
            prefix = f"feature {full_name.removeprefix(f'{name}:')}, "
            lines += _changes(prefix, _texts(before.get(full_name)), _texts(after.get(full_name)))
        lines += _changes("", _expectations(old, name), _expectations(new, name))
    return lines


def _descriptions(plan: Plan | None, kind: str) -> dict[str, DescriptionSpec]:
    return {each.name: each for each in (plan.descriptions if plan else ()) if each.kind == kind}


def _expectations(plan: Plan | None, view: str) -> dict[str, str]:
    of_view = [each for each in (plan.expectations if plan else ()) if each.view == view]
    return {f"expectation of {spec.field}": spec.text for each in of_view for spec in each.features}


def _texts(description: DescriptionSpec | None) -> dict[str, str]:
    if description is None:
        return {}
    texts = {"owner": description.owner, "description": description.description}
    tags = {f"tag {name}": value for name, value in description.tags.items()}
    return {name: text for name, text in texts.items() if text} | tags


def _changes(prefix: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"- {prefix}{name}: {value_text(before[name])}"
        elif name not in before:
            yield f"+ {prefix}{name}: {value_text(after[name])}"
        elif before[name] != after[name]:
            yield f"~ {prefix}{name}: {value_text(before[name])} -> {value_text(after[name])}"
