"""Definitions that users write in the ``learners.py`` of their repository: learners, routers and policies.

A definition does nothing by itself. ``headrace plan`` and ``headrace apply`` check all of them and raise
`DefinitionError`, with file, object, value and remedy, for the first that cannot be executed as written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Literal


@dataclass(frozen=True)
class Target:
    """The quantity that a learner predicts, with its kind and domain.

    Labels, scores, metrics, rewards and defaults follow from the kind:

    * ``binary``: labels are 0 and 1, false and true; a score is the probability of 1. Log loss, ROC AUC, PR
      AUC, calibration.
    * ``number``: labels and scores are numbers in [`low`, `high`]. MAE, RMSE, R², bias; of a quantile its
      pinball loss.
    * ``category``: labels are texts among `classes`; a score is a distribution over them. Log loss, accuracy,
      macro F1.

    Parameters
    ----------
    name
        Of the quantity.
    kind
        ``binary``, ``number`` or ``category``.
    low, high
        Of a number: the least and the greatest that there is, within 2**53. What a regressor answers beyond
        them is taken as the nearer of the two.
    classes
        Of a category: texts, 2 to 256. Whole numbers in events are the classes of their digits.
    quantile
        Of a number: which quantile the models predict, in (0, 1); None: the mean.

    Examples
    --------
    >>> Target("delayed")
    Target(name='delayed', kind='binary', low=None, high=None, classes=(), quantile=None)
    >>> minutes = Target("minutes", kind="number", low=-120, high=2000)
    >>> reason = Target("reason", kind="category", classes=("carrier", "weather", "security"))
    """

    name: str
    kind: Literal["binary", "number", "category"] = "binary"
    low: float | None = None
    high: float | None = None
    classes: Sequence[str] = ()
    quantile: float | None = None


@dataclass(frozen=True)
class Learner:
    """A model that learns from every label.

    Parameters
    ----------
    name
        Unique in the project; letters, digits, ``.``, ``_`` and ``-``. An arm of at most one router.
    model
        Function without arguments that returns a new river estimator, the same at every call: pass ``seed=``
        to whatever draws random numbers. A classifier learns labels as ``True`` (0.5 or more) and ``False``,
        a regressor as numbers.
    service
        Name of the Feast feature service whose features the model reads; None for a model without them.
    target
        The quantity that is predicted: a `Target`, or the name of a binary one. All arms of a router have the
        same target.
    request
        Names of request fields and join keys that the model reads besides.

    Notes
    -----
    The model gets one dict per prediction: served features under ``view__feature``, request fields and join
    keys under their own names, sorted by name. Null values are left out; strings stay strings. The same dict
    is logged with the prediction and learned from when its label comes.

    A learner's definition is a hash of the model's class paths and parameters, the source of its functions,
    the names of its inputs, and the kind and domain of its target. Another definition begins a new major
    version, trained from the first example. The version before serves until the new one has learned as much.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> def logistic():
    ...     return preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> learner = Learner("logistic", logistic, "customer_features", "returned", request=["amount"])
    >>> learner.model().predict_proba_one({"amount": 12.5, "customer_orders__orders_1h": 3})
    {False: 0.5, True: 0.5}
    """

    name: str
    model: Callable[[], Any]
    service: str | None
    target: str | Target
    request: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """The event topic that labels come from.

    Parameters
    ----------
    source
        Name of the `KafkaSource`.
    key
        Field that holds the natural key: the value that the prediction has in its request field or join key
        of the same name.
    label
        Field that holds the label: a number or a boolean, of a category a text or a whole number.
    id
        Field that identifies an outcome, so that one sent twice counts once; None: its place in the topic.

    Examples
    --------
    >>> Outcome("returns", key="order", label="returned")
    Outcome(source='returns', key='order', label='returned', id=None)
    """

    source: str
    key: str
    label: str
    id: str | None = None


@dataclass(frozen=True)
class ThompsonSampling:
    """Choose each arm with the probability that its mean reward is the greatest.

    ``propensity = floor + (1 - k * floor) * P(best)`` for k arms: the distribution that Thompson sampling
    draws from (section 4 of [1]_), computed by quadrature at each refresh and then constant for an epoch.

    Parameters
    ----------
    posterior
        Of an arm's mean reward. ``beta``: for rewards in [0, 1], from a uniform prior. ``normal``: for any
        real reward, normal-inverse-gamma.
    discount
        Weight of older rewards at each refresh, in (0, 1]; 1 never forgets (section 6.3 of [1]_).
    floor
        Least propensity of every arm, in [0, 1 / k].

    References
    ----------
    .. [1] Russo, Van Roy, Kazerouni, Osband, Wen (2018). A Tutorial on Thompson Sampling.

    Examples
    --------
    >>> ThompsonSampling(floor=0.05)
    ThompsonSampling(posterior='beta', discount=1.0, floor=0.05)
    """

    posterior: Literal["beta", "normal"] = "beta"
    discount: float = 1.0
    floor: float = 0.02


@dataclass(frozen=True)
class FixedSplit:
    """Choose arms in constant shares.

    Parameters
    ----------
    shares
        Arm to its share of traffic, in [0, 1]; they sum to 1. An arm that is not named gets none.

    Examples
    --------
    >>> FixedSplit({"logistic": 0.9, "tree": 0.1})
    FixedSplit(shares={'logistic': 0.9, 'tree': 0.1})
    """

    shares: Mapping[str, float]


@dataclass(frozen=True)
class EpsilonGreedy:
    """Choose the arm with the best mean reward, and with probability `epsilon` any arm.

    ``propensity = epsilon / k`` for k arms, and ``1 - epsilon`` more for the best, which ties share
    (section 2.2 of [1]_). An arm without a reward yet counts as the best.

    Parameters
    ----------
    epsilon
        Share of traffic that is spread over all arms evenly, in [0, 1].

    References
    ----------
    .. [1] Sutton, Barto (2018). Reinforcement Learning: An Introduction, second edition.

    Examples
    --------
    >>> EpsilonGreedy(epsilon=0.05)
    EpsilonGreedy(epsilon=0.05)
    """

    epsilon: float = 0.1


Policy = ThompsonSampling | FixedSplit | EpsilonGreedy


@dataclass(frozen=True)
class Router:
    """Several learners that answer one question, with traffic split among them by a policy.

    Parameters
    ----------
    name
        Unique in the project; letters, digits, ``.``, ``_`` and ``-``.
    arms
        Names of learners. Their order is part of every draw.
    champion
        The arm that answers when the chosen one cannot.
    unit
        The join key or request field whose value is hashed for the draw: a unit keeps its arm for an epoch.
    entities
        Join keys that a request must bring.
    request
        Request fields that a request must bring.
    outcome
        Where labels come from; None: over HTTP alone.
    wait
        How long after the prediction its reward is counted, in event time, for all arms alike.
    missing
        What it means when no label has come by then. ``drop``: no reward. ``negative``: label 0, which must
        be one of the target, so never of a category. ``censor``: no reward, counted apart.
    duplicates
        Which of several outcomes of one prediction counts: the ``first``, the ``last``, their ``sum`` (of
        numbers alone) or the ``max`` (of numbers and binary labels).
    feedback
        ``shared``: the label does not depend on the arm, so every arm learns and is rewarded from it.
        ``arm``: only the chosen arm is rewarded.
    reward
        Of an arm with score p when the label is y, in [0, 1] for every kind. None: ``brier`` for binary and
        category, ``mae`` for a number, ``pinball`` for a quantile.

        * binary: ``brier``, 1 - (p - y)²; ``accuracy``, whether p is on y's side of 0.5; ``label``, y itself,
          for the chosen arm.
        * number, with e = y - p: ``mae``, 1 - abs(e) / (high - low); ``mse``, 1 - (e / (high - low))²;
          ``pinball``, for quantile q, 1 - max(q e, (q - 1) e) / (max(q, 1 - q) (high - low)); ``label``,
          (y - low) / (high - low), for the chosen arm.
        * category: ``brier``, 1 - ½ Σ (p_k - y_k)² over all classes; ``accuracy``, whether y is the class
          with the greatest share.
    policy
        How traffic is split: `ThompsonSampling`, `EpsilonGreedy` or `FixedSplit`.
    refresh
        Event time between two epochs, at which propensities follow anew from the rewards so far.
    publish
        Event time between two published model versions; None: by the wall clock alone, see the setting
        ``publish_every_s``.
    partitions
        Number of partitions of the predictions and outcomes topics.
    salt
        Part of every draw; another one gives units other arms.
    default
        The score when neither the chosen arm nor the champion can answer: a probability, a number in the
        range of the target, or for a category its distribution, class to share, of which classes that are not
        named have none. None: 0.5, the middle of the range, or the same share for every class.

    Examples
    --------
    >>> router = Router(
    ...     "returns",
    ...     arms=["base_rate", "logistic"],
    ...     champion="base_rate",
    ...     unit="order",
    ...     entities=["customer"],
    ...     request=["order", "amount"],
    ...     outcome=Outcome("returns", key="order", label="returned"),
    ...     wait=timedelta(days=14),
    ...     missing="negative",
    ...     policy=ThompsonSampling(floor=0.05),
    ... )
    >>> router.feedback
    'shared'
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
    reward: Literal["brier", "accuracy", "label", "mae", "mse", "pinball"] | None = None
    policy: Policy = ThompsonSampling()
    refresh: timedelta = timedelta(hours=1)
    publish: timedelta | None = timedelta(hours=1)
    partitions: int = 4
    salt: str = ""
    default: float | Mapping[str, float] | None = None
