"""Checks of a learner's new model before it is registered: a river estimator that can be saved."""

from __future__ import annotations

import pickle
from typing import Any

from headrace.learners.definitions import Learner
from headrace.schemas.errors import DefinitionError


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
