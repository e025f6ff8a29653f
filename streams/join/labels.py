"""How several outcomes of one prediction become its label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from headrace.schemas.records import Outcome

Fold = Callable[[Sequence[Outcome]], tuple[float, int]]


def _first(outcomes: Sequence[Outcome]) -> tuple[float, int]:
    return outcomes[0].label, outcomes[0].ts_ms


def _last(outcomes: Sequence[Outcome]) -> tuple[float, int]:
    return outcomes[-1].label, outcomes[-1].ts_ms


def _sum(outcomes: Sequence[Outcome]) -> tuple[float, int]:
    return sum(o.label for o in outcomes), max(o.ts_ms for o in outcomes)


def _max(outcomes: Sequence[Outcome]) -> tuple[float, int]:
    most = max(outcomes, key=lambda o: o.label)
    return most.label, most.ts_ms


# Label and its time (epoch ms), from one or more outcomes in the order of the outcomes topic.
FOLDS: Mapping[str, Fold] = {"first": _first, "last": _last, "sum": _sum, "max": _max}
