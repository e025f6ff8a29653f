"""The identity of a learner's model: a hash of class paths, parameters, source of functions, and inputs."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any

from headrace.schemas.domains import BINARY, DomainSpec

PROJECT_MODULE = "headrace_project_learners"


def definition_hash(model: object, inputs: Sequence[str], domain: DomainSpec = BINARY) -> str:
    """Return the SHA-256, in hex, of a model's definition: equal for equal definitions, trained or not.

    Covers class paths and constructor parameters, recursively, the source text of functions and of the
    project's own classes, the names of the inputs, and the domain of the target: which labels are learned,
    and as what. Functions that those functions call are not followed.

    Parameters
    ----------
    model
        A river estimator.
    inputs
        Names of the features it reads, in any order.
    domain
        Of its target. Binary ones are left out: their hashes are those of before there were kinds.

    Examples
    --------
    >>> from river import linear_model, optim
    >>> fast, slow = (linear_model.LogisticRegression(optim.SGD(rate)) for rate in (0.1, 0.01))
    >>> definition_hash(fast, ["amount"]) == definition_hash(fast.clone(), ["amount"])
    True
    >>> definition_hash(fast, ["amount"]) == definition_hash(slow, ["amount"])
    False
    """
    kind = [] if domain == BINARY else [domain.model_dump(mode="json")]
    text = json.dumps([describe(model), sorted(inputs), *kind], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def describe(value: object) -> Any:
    """Describe a model, or one of its parameters, in JSON; equal for equal definitions.

    >>> describe({"rate": 0.1, "steps": (1, 2)})
    {'map': [['rate', 0.1], ['steps', [1, 2]]]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {"map": [[describe(k), describe(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted(json.dumps(describe(v), sort_keys=True) for v in value)}
    if isinstance(value, functools.partial):
        return {"partial": [describe(value.func), describe(value.args), describe(value.keywords)]}
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return _describe_code(value)
    return {"class": describe(type(value)), "params": describe(_params(value))}


def _describe_code(value: FunctionType | BuiltinFunctionType | type) -> dict[str, str]:
    path = f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, FunctionType) or value.__module__ == PROJECT_MODULE:
        return {"path": path, "source": _source(value)}
    return {"path": path}


def _source(value: Any) -> str:
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        return ""


def _params(value: Any) -> Any:
    """Return constructor parameters by name, as river keeps them; the steps of pipelines and unions."""
    for steps in ("steps", "transformers"):  # Pipeline and TransformerUnion
        if isinstance(parts := getattr(value, steps, None), Mapping):
            return parts
    if not hasattr(value, "_get_params"):
        return vars(value) if hasattr(value, "__dict__") else repr(value)
    names = inspect.signature(type(value).__init__).parameters
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
