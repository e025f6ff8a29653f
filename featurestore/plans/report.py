"""The text that `headrace plan` prints: every change, its costs, the way back, and which are unsafe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from headrace.featurestore.plans.costs import PlanCosts
from headrace.featurestore.plans.diff import KINDS, Change, plan_changes
from headrace.featurestore.plans.reversal import Reversal
from headrace.featurestore.plans.safety import UnsafeChange, unsafe_changes
from headrace.featurestore.plans.stored_things import consequences
from headrace.featurestore.plans.usage import PlanUsage
from headrace.schemas.plan import Plan

_INDENT = "    "
_SIGNS = {"+": "added", "~": "changed", "-": "removed"}


def report(old: Plan | None, new: Plan, usage: PlanUsage) -> str:
    """The changes from the plan in force to another, as text.

    ``+`` stands for added, ``-`` for removed, ``~`` for changed; `apply` refuses unsafe changes without
    ``--allow-unsafe``.

    Parameters
    ----------
    old
        The plan in force, or None when there is none.
    new
        The plan that would be applied.
    usage
        How many rows, records and examples there are.

    Examples
    --------
    >>> from headrace.featurestore.plans.usage import NoUsage
    >>> report(None, Plan(project="shop"), NoUsage())
    'nothing would change'
    """
    before = old or Plan(project=new.project)
    things, unsafe, changes = consequences(before, new), unsafe_changes(old, new), plan_changes(old, new)
    costs, reversal = PlanCosts(before, new, things, usage), Reversal(before, new, things, usage)
    reported = {(change.kind, change.name) for change in changes}
    changes += [change for change in costs.rereads() if (change.kind, change.name) not in reported]
    changes.sort(key=lambda change: [*KINDS].index(change.kind) if change.kind in KINDS else -1)
    if not changes:
        return "nothing would change"
    lines = [line for change in changes for line in _lines(change, costs, reversal, unsafe)]
    return "\n".join([*lines, "", _summary(changes, unsafe)])


def _lines(
    change: Change, costs: PlanCosts, reversal: Reversal, unsafe: Sequence[UnsafeChange]
) -> Iterator[str]:
    yield change.title
    yield from (f"{_INDENT}{line}" for line in change.lines)
    yield from (f"{_INDENT}cost: {line}" for line in costs.of(change))
    yield from (f"{_INDENT}for good: {line}" for line in reversal.lost(change))
    yield from (f"{_INDENT}back: {line}" for line in reversal.way_back(change))
    yield from (f"{_INDENT}unsafe: {u}" for u in unsafe if (u.kind, u.name) == (change.kind, change.name))


def _summary(changes: Sequence[Change], unsafe: Sequence[UnsafeChange]) -> str:
    counts = Counter[str](change.sign for change in changes)
    summary = ", ".join(f"{counts[sign]} {name}" for sign, name in _SIGNS.items() if counts[sign])
    if not unsafe:
        return summary
    many = "1 of it is unsafe" if len(unsafe) == 1 else f"{len(unsafe)} things in it are unsafe"
    return f"{summary}; {many}, and refused by `headrace apply` without --allow-unsafe"
