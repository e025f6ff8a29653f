"""One learner over the past: trained on the examples as they came, asked where its version answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.learners.backtest.past_log import PastLog
from headrace.learners.backtest.served import Served
from headrace.learners.definitions import Learner
from headrace.learners.models.inputs import Inputs
from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.learners.models.scoring import score
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.training.trainer import Trainer
from headrace.schemas.domains import DomainSpec, Score
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction

MOST_COMPARED = 100  # versions whose digests are compared: a digest takes longer than an example


@dataclass(frozen=True)
class ArmRun:
    """What a learner would have answered, and has learned.

    Attributes
    ----------
    name
        Of the learner.
    as_learned
        Metrics of the answers before each example was learned; see `ProgressiveValidation.summary`.
    scores
        For each row of the schedule, by closing; None where it has no answer.
    examples, poisoned
        How many were learned, and on how many the model raised.
    compared, different
        Versions whose digest and metrics were compared with the lineage, and those that are others.
    """

    name: str
    as_learned: dict[str, Any]
    scores: list[list[Score | None]]
    examples: int
    poisoned: int
    compared: tuple[str, ...]
    different: tuple[str, ...]


def run_arm(
    plan: Plan,
    learner: Learner,
    log: PastLog,
    served: Served,
    schedule: NDArray[np.int64],
    published: Sequence[PublishedVersion],
) -> ArmRun:
    """Run a learner over a log.

    Parameters
    ----------
    plan
        Has the learner's definition.
    schedule
        Of shape (k, n): for k times each closing's prediction, the prefix of the examples that is to be
        learned before it is answered; negative where it is not to be answered.
    published
        Versions of the same definition, to be compared.
    """
    trainer, domain = Trainer(plan, learner), plan.learner(learner.name).domain
    scores: list[Score | None] = [None] * schedule.size
    asked = _asked(served, schedule)
    compared = _some(published)
    waiting = iter(compared)
    next_compared, next_asked = next(waiting, None), next(asked, None)
    different = []

    def catch_up(offset: int) -> None:
        """Answer and compare all that stands on a prefix of at most `offset`."""
        nonlocal next_asked, next_compared
        model = None  # a copy, as replicas have one: some models note what they are asked about
        while next_asked is not None and next_asked[0] <= offset:
            model = load_model(dump_model(trainer.model)) if model is None else model
            scores[next_asked[1]] = _answer(model, trainer.inputs, domain, next_asked[2])
            next_asked = next(asked, None)
        while next_compared is not None and next_compared.offset <= offset:
            if not _equals(trainer, next_compared):
                different.append(next_compared.version)
            next_compared = next(waiting, None)

    for offset, example in log.examples():
        catch_up(offset)
        trainer.take(offset, example)
    catch_up(max(trainer.offset, 2**62))
    return ArmRun(
        name=learner.name,
        as_learned=_described(trainer).metrics,
        scores=[scores[row * len(served) : (row + 1) * len(served)] for row in range(len(schedule))],
        examples=trainer.examples,
        poisoned=trainer.poisoned,
        compared=tuple(one.version for one in compared),
        different=tuple(different),
    )


def _asked(served: Served, schedule: NDArray[np.int64]) -> Iterator[tuple[int, int, Prediction]]:
    """Yield prefix, place in the schedule and prediction of what is to be answered, by prefix."""
    prefixes = schedule.ravel()
    order = np.argsort(prefixes, kind="stable")
    order = order[prefixes[order] >= 0]
    for place, closing in zip(order.tolist(), served.read(order % len(served)), strict=True):
        yield int(prefixes[place]), place, closing.prediction


def _some(published: Sequence[PublishedVersion]) -> list[PublishedVersion]:
    """Return at most `MOST_COMPARED` versions, evenly spread, the newest among them, by prefix."""
    ordered = sorted(published, key=lambda one: (one.offset, one.minor))
    if not ordered:
        return []
    numbers = np.unique(np.linspace(0, len(ordered) - 1, MOST_COMPARED).round().astype(int))
    return [ordered[number] for number in numbers.tolist()]


def _answer(model: Any, inputs: Inputs, domain: DomainSpec, prediction: Prediction) -> Score | None:
    """Return the score as the router does; None where it would have none."""
    if inputs.reads_features and not prediction.features:  # they could not be read
        return None
    try:
        return score(model, inputs.of_prediction(prediction), domain)
    except (Exception, SystemExit):  # a model may hold any function
        return None


def _equals(trainer: Trainer, published: PublishedVersion) -> bool:
    made = _described(trainer)
    told = (made.metrics, made.shortened().metrics)  # most records of versions are short
    return made.digest == published.digest and published.metrics in told


def _described(trainer: Trainer) -> PublishedVersion:
    return trainer.describe(trainer.checkpoint().header)
