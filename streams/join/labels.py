"""Label of a prediction from its outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from headrace.schemas.records import Outcome

Label = float | str
Combine = Callable[[Sequence[Outcome]], tuple[Label, int]]


def _first(outcomes: Sequence[Outcome]) -> tuple[Label, int]:
    return outcomes[0].label, outcomes[0].ts_ms


def _last(outcomes: Sequence[Outcome]) -> tuple[Label, int]:
    return outcomes[-1].label, outcomes[-1].ts_ms


def _sum(outcomes: Sequence[Outcome]) -> tuple[Label, int]:
    return sum(map(_number, outcomes)), max(outcome.ts_ms for outcome in outcomes)


def _max(outcomes: Sequence[Outcome]) -> tuple[Label, int]:
    greatest = max(outcomes, key=_number)
    return greatest.label, greatest.ts_ms


def _number(outcome: Outcome) -> float:
    """Return the label of an outcome; 0 of a text, which the intake lets through for categories alone."""
    return 0.0 if isinstance(outcome.label, str) else outcome.label


_COMBINE: Mapping[str, Combine] = {"first": _first, "last": _last, "sum": _sum, "max": _max}


def label_of(outcomes: Sequence[Outcome], duplicates: str) -> tuple[Label, int]:
    """Return the label of a prediction and its event time, epoch milliseconds.

    Parameters
    ----------
    outcomes
        One or more, in the order of the outcomes topic.
    duplicates
        Which of them count: ``first``, ``last``, ``sum`` or ``max``.

    Examples
    --------
    >>> clicked = Outcome(outcome_id="a", key="k", label=1.0, ts_ms=10)
    >>> bought = Outcome(outcome_id="b", key="k", label=5.0, ts_ms=20)
    >>> label_of([clicked, bought], "first"), label_of([clicked, bought], "sum")
    ((1.0, 10), (6.0, 20))
    """
    return _COMBINE[duplicates](outcomes)
