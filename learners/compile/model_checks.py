"""Checks of a learner's model before it is registered: a river estimator, picklable, deterministic."""

from __future__ import annotations

import pickle
import random
from typing import Any

from headrace.learners.definitions import Learner
from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_types import ValueType

_EXAMPLES = 300


def fresh_model(file: str, learner: Learner) -> Any:
    """Build a model of a learner, and check that it can be trained and saved.

    Raises
    ------
    DefinitionError
        When the factory raises, returns no river estimator, or one that cannot be pickled.
    """
    where = f"learner '{learner.name}'"
    try:
        model = learner.model()
    except Exception as error:
        problem = f"its model factory raised {type(error).__name__}: {error}"
        raise DefinitionError(file, where, problem, "Return a river estimator from `model`") from error
    predicts = hasattr(model, "predict_proba_one") or hasattr(model, "predict_one")
    if isinstance(model, type) or not (hasattr(model, "learn_one") and predicts):
        problem = f"its model factory returned {model!r}, which cannot learn and predict one example"
        remedy = "Return an instance of a river classifier or regressor, such as LogisticRegression()"
        raise DefinitionError(file, where, problem, remedy)
    try:
        pickle.dumps(model)
    except Exception as error:
        problem = f"its model cannot be saved ({error})"
        remedy = "Use functions defined at the top level of learners.py, not lambdas or nested ones"
        raise DefinitionError(file, where, problem, remedy) from error
    return model


def check_deterministic(
    file: str, learner: Learner, inputs: dict[str, ValueType], domain: DomainSpec = BINARY
) -> None:
    """Train two new models on one synthetic stream, and compare their scores and learned states.

    A model that raises on synthetic values passes: its determinism stays unknown.

    Parameters
    ----------
    inputs
        Names and types of the features that the model reads.
    domain
        Of the labels.

    Raises
    ------
    DefinitionError
        When the two differ.
    """
    try:
        first, second = (_trace(learner.model(), inputs, domain) for _ in range(2))
    except Exception:
        return
    if first != second:
        problem = "two models of it that learned the same examples differ"
        remedy = "Pass `seed=` to every part of the model that draws random numbers"
        raise DefinitionError(file, f"learner '{learner.name}'", problem, remedy)


def _trace(model: Any, inputs: dict[str, ValueType], domain: DomainSpec) -> list[Any]:
    """Return every score on the synthetic stream, and the digest of the state behind it."""
    from headrace.learners.compile.targets import made_up_label
    from headrace.learners.models.scoring import score_and_learn
    from headrace.learners.models.state_digest import state_digest

    source = random.Random(1)
    trace: list[Any] = []
    for _ in range(_EXAMPLES):
        x = {name: _value(source, inputs[name]) for name in sorted(inputs)}
        trace.append(score_and_learn(model, x, made_up_label(source, domain), domain))
    return [*trace, state_digest(model)]


def _value(source: random.Random, dtype: ValueType) -> bool | int | float | str:
    if dtype == "String":
        return source.choice(("a", "b", "c"))
    if dtype == "Bool":
        return source.random() < 0.5
    return source.randrange(100) if dtype.startswith("Int") else source.gauss(0.0, 1.0)
