"""What a backtest finds: answers as they would have been, and what of it is as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.learners.backtest.arm_run import ArmRun
from headrace.learners.backtest.router_run import RouterRun
from headrace.learners.backtest.served import Served
from headrace.learners.models.metrics import ProgressiveValidation
from headrace.schemas.domains import DomainSpec, Score, TargetKind
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch, Label
from headrace.schemas.router_specs import RouterSpec


@dataclass(frozen=True)
class ArmResult:
    """An arm over the past.

    Attributes
    ----------
    name
        Of the learner.
    is_deployed
        Whether its definition is that of the plan in force.
    asked_as
        The arm at whose versions' places it answered: itself, or for a new one the champion.
    as_learned, as_served
        Metrics of all examples before each was learned; of the closings with a label, by the version that
        was served. See `ProgressiveValidation.summary`.
    same_scores, other_scores
        Of a deployed arm, how many of its answers are those that were logged, and how many are not.
    compared, different
        Versions whose digest and metrics were compared with the lineage, and those that are others.
    poisoned
        On how many examples the model raised.
    """

    name: str
    is_deployed: bool
    asked_as: str
    as_learned: dict[str, Any]
    as_served: dict[str, Any]
    same_scores: int
    other_scores: int
    compared: tuple[str, ...]
    different: tuple[str, ...]
    poisoned: int


@dataclass(frozen=True)
class BacktestResult:
    """A router over the past.

    Attributes
    ----------
    router
        Its name.
    kind
        Of its target.
    closings, labelled
        How many predictions were closed, and how many of them have a label.
    arms
        In the router's order.
    as_it_was, with_these
        Metrics of the answers of the router as they were logged, and as they would have been. The second is
        None with feedback by arm, where labels are those of the arms that were chosen.
    shares
        By arm, the share of the answers, of the second.
    same_epochs, other_epochs
        How many epochs are those that were in force, and how many are not.
    """

    router: str
    kind: TargetKind
    closings: int
    labelled: int
    arms: tuple[ArmResult, ...]
    as_it_was: dict[str, Any]
    with_these: dict[str, Any] | None
    shares: dict[str, float]
    same_epochs: int
    other_epochs: int


def result_of(
    in_force: Plan,
    plan: Plan,
    router: RouterSpec,
    served: Served,
    runs: Mapping[str, ArmRun],
    asked_as: Mapping[str, str],
    past: Sequence[Epoch],
    made: RouterRun,
) -> BacktestResult:
    """Return what was found, from what each arm and the router would have answered."""
    deployed = {one.name: one.definition for one in in_force.learners}
    arms = []
    for arm in router.arms:
        run, is_deployed = runs[arm], deployed.get(arm) == plan.learner(arm).definition
        same, other = _compared(run.scores[0], served, arm) if is_deployed else (0, 0)
        arms.append(
            ArmResult(
                name=arm,
                is_deployed=is_deployed,
                asked_as=asked_as[arm],
                as_learned=run.as_learned,
                as_served=metrics_of(run.scores[0], served.labels, router.domain),
                same_scores=same,
                other_scores=other,
                compared=run.compared,
                different=run.different,
                poisoned=run.poisoned,
            )
        )
    of_past = {(epoch.ts_ms, tuple(sorted(epoch.propensities.items()))) for epoch in past}
    same_epochs = sum((one.ts_ms, tuple(sorted(one.propensities.items()))) in of_past for one in made.epochs)
    return BacktestResult(
        router=router.name,
        kind=router.domain.kind,
        closings=len(served),
        labelled=int(served.has_label.sum()),
        arms=tuple(arms),
        as_it_was=metrics_of(_logged_answers(router, served), served.labels, router.domain),
        with_these=None
        if router.feedback == "arm"
        else metrics_of(made.scores, served.labels, router.domain),
        shares=made.shares,
        same_epochs=same_epochs,
        other_epochs=len(made.epochs) - same_epochs,
    )


def _compared(scores: Sequence[Score | None], served: Served, arm: str) -> tuple[int, int]:
    """Return how many answers are those that were logged, and how many are not."""
    pairs = zip(scores, served.scores[arm], (served.prefixes[arm] >= 0).tolist(), strict=True)
    same = [score == logged for score, logged, is_known in pairs if is_known]
    return sum(same), len(same) - sum(same)


def _logged_answers(router: RouterSpec, served: Served) -> list[Score]:
    answers: list[Score] = []
    for closing in served.read():
        scores = closing.prediction.scores
        given = (scores.get(closing.prediction.chosen), scores.get(router.champion), router.default)
        answers.append(next(score for score in given if score is not None))
    return answers


def metrics_of(
    scores: Sequence[Score | None], labels: Sequence[Label | None], domain: DomainSpec
) -> dict[str, Any]:
    """Return the metrics of answers for which there is a label."""
    validation = ProgressiveValidation(domain)
    for score, label in zip(scores, labels, strict=True):
        if score is not None and label is not None:
            validation.update(score, label)
    return validation.summary()
