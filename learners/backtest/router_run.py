"""A router over the past: its epochs from closings with other scores, and the arms that they draw."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from headrace.learners.backtest.served import Served
from headrace.learners.routing.draw import draw
from headrace.learners.routing.epochs import EpochKeeper
from headrace.schemas.domains import Score
from headrace.schemas.errors import RecordError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Epoch
from headrace.schemas.router_specs import RouterSpec

Scores = Mapping[str, Sequence[Score | None]]


@dataclass(frozen=True)
class RouterRun:
    """What a router would have answered.

    Attributes
    ----------
    epochs
        In the order in which they became complete.
    scores
        By closing: of the arm that is drawn, else of the champion, else the default.
    shares
        By arm, the share of closings for which it is drawn.
    """

    epochs: tuple[Epoch, ...]
    scores: list[Score]
    shares: dict[str, float]


def run_router(
    plan: Plan, router: RouterSpec, served: Served, past: Sequence[Epoch], scores: Scores
) -> RouterRun:
    """Make the epochs of a router anew from the scores of its arms, and draw by them.

    Parameters
    ----------
    past
        Epochs that were in force.
    scores
        By arm and closing, None where it has no answer.
    """
    keeper = EpochKeeper(router, plan.hash, router.partitions)
    initial = keeper.current
    epochs: list[Epoch] = []
    for partition, offset, time_ms, closing in _in_order(served, router, scores):
        with suppress(RecordError):
            epochs += (
                keeper.mark(partition, offset, time_ms)
                if closing is None
                else keeper.take(partition, offset, closing)
            )
    answers, drawn = _draws(router, served, past, [initial, *epochs], scores)
    shares = {arm: drawn.count(arm) / max(1, len(drawn)) for arm in router.arms}
    return RouterRun(tuple(epochs), answers, shares)


def _in_order(
    served: Served, router: RouterSpec, scores: Scores
) -> Iterator[tuple[int, int, int, Closing | None]]:
    """Yield partition, offset, time and closing; None for a time mark. Of a partition in the log's order."""
    closings = served.read()
    numbers = iter(range(len(served)))
    records = [(*place, 1, 0) for place in served.places.tolist()]
    records += [(partition, offset, 0, time_ms) for partition, offset, time_ms in served.marks.tolist()]
    for partition, offset, is_closing, time_ms in sorted(records):
        if not is_closing:
            yield partition, offset, time_ms, None
            continue
        number, closing = next(numbers), next(closings)
        answers = {arm: scores[arm][number] for arm in router.arms}
        prediction = closing.prediction.model_copy(update={"scores": answers})
        yield partition, offset, 0, closing.model_copy(update={"prediction": prediction})


def _draws(
    router: RouterSpec, served: Served, past: Sequence[Epoch], epochs: Sequence[Epoch], scores: Scores
) -> tuple[list[Score], list[str]]:
    """Return the score and the arm of each closing, by the epoch made anew that was the newest then."""
    began = {epoch.epoch: epoch.ts_ms for epoch in past}
    times = [epoch.ts_ms for epoch in epochs]
    answers: list[Score] = []
    drawn: list[str] = []
    for number, closing in enumerate(served.read()):
        prediction = closing.prediction
        at_ms = began.get(prediction.epoch, 0)
        in_force = epochs[max(0, bisect.bisect_right(times, at_ms) - 1)]
        arm = draw(router.arms, in_force.propensities, router.salt, prediction.epoch, prediction.unit)
        drawn.append(arm)
        candidates = (scores[arm][number], scores[router.champion][number], router.default)
        answers.append(next(score for score in candidates if score is not None))
    return answers, drawn
