"""What users write in the ``learners.py`` of their repository. Nothing here does anything by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal


@dataclass(frozen=True)
class Learner:
    """A model that learns from every label.

    Parameters
    ----------
    name
        Unique in the project.
    model
        Called without arguments; returns a fresh river estimator, the same one every time (pass ``seed=``
        to whatever draws random numbers). It learns labels as ``True`` / ``False`` when it is a classifier,
        as numbers otherwise.
    service
        The feature service it reads; None for a model without served features.
    target
        What it predicts. All arms of a router have the same target.
    request
        Features it reads from the request (request features or entities) besides the served ones.

    Notes
    -----
    The model sees one dict: ``view__feature`` for served features, the bare name for request features,
    in sorted order; what is null is left out, strings stay strings.
    """

    name: str
    model: Callable[[], Any]
    service: str | None
    target: str
    request: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """Where labels come from: the field `label` of every record of `source`, for the prediction with the
    same natural key as the field `key`. `id` names the field that identifies an outcome sent twice."""

    source: str
    key: str
    label: str
    id: str | None = None


@dataclass(frozen=True)
class ThompsonSampling:
    """Traffic in proportion to the probability of being the best arm.

    Parameters
    ----------
    posterior
        ``beta`` for rewards in [0, 1], ``normal`` for any real reward.
    discount
        In (0, 1]: what older evidence counts at each refresh; 1 never forgets.
    floor
        Least propensity of every arm; floor times the number of arms is at most 1.
    """

    posterior: Literal["beta", "normal"] = "beta"
    discount: float = 1.0
    floor: float = 0.02


@dataclass(frozen=True)
class FixedSplit:
    """A constant share of traffic per arm; the shares sum to 1."""

    shares: Mapping[str, float]


@dataclass(frozen=True)
class EpsilonGreedy:
    """The arm with the best mean reward, and a fraction `epsilon` spread evenly over all arms."""

    epsilon: float = 0.1


Policy = ThompsonSampling | FixedSplit | EpsilonGreedy


@dataclass(frozen=True)
class Router:
    """Several learners answering one question, with traffic spread by a policy.

    Parameters
    ----------
    arms
        Names of learners; their order is fixed and part of every draw.
    champion
        The arm that answers when the chosen one cannot.
    unit
        The entity or request field that is hashed: one unit gets one arm during an epoch.
    entities, request
        Join keys and request features that a request must bring.
    outcome
        Where labels come from; None when they come over HTTP alone.
    wait
        How long after the prediction its reward is counted, for all arms alike.
    missing
        What a prediction without a label means at that time: ``drop`` (no reward), ``negative`` (label 0),
        ``censor`` (no reward, counted apart).
    duplicates
        Which of several outcomes of one prediction counts.
    feedback
        ``shared``: the label does not depend on the arm, so every arm learns and is rewarded from it;
        ``arm``: only the chosen arm is rewarded.
    reward
        ``brier``: 1 - (p - y)²; ``accuracy``: whether p ≥ 0.5 was right; ``label``: the label itself, for the
        chosen arm.
    refresh
        Event time between two epochs.
    publish
        Event time between two published model versions; None: by wall clock alone.
    partitions
        Of the predictions and outcomes topics.
    salt
        Part of every draw; change it to deal units anew.
    default
        The score when no arm can answer.
    """

    name: str
    _: KW_ONLY
    arms: Sequence[str]
    champion: str
    unit: str
    entities: Sequence[str]
    request: Sequence[str] = ()
    outcome: Outcome | None = None
    wait: timedelta
    missing: Literal["drop", "negative", "censor"] = "drop"
    duplicates: Literal["first", "last", "sum", "max"] = "first"
    feedback: Literal["shared", "arm"] = "shared"
    reward: Literal["brier", "accuracy", "label"] = "brier"
    policy: Policy = ThompsonSampling()
    refresh: timedelta = timedelta(hours=1)
    publish: timedelta | None = timedelta(hours=1)
    partitions: int = 4
    salt: str = ""
    default: float = 0.5
