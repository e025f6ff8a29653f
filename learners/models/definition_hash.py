"""The identity of a model: a hash over class paths and parameters, and the source of functions."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any

PROJECT_MODULE = "headrace_project_learners"


def definition_hash(model: object, inputs: Sequence[str]) -> str:
    """SHA-256, in hex, over what the model is made of and what it reads, not over what it has learned.

    Covers class paths and constructor parameters, recursively, the source text of functions and of classes
    of the project itself, and the names of the features. Functions called by those functions are not
    followed.
    """
    text = json.dumps([describe(model), sorted(inputs)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def describe(value: object) -> Any:
    """A JSON description of a model or of one of its parameters, equal for equal definitions."""
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
    """Constructor parameters as river keeps them: under their names, steps of pipelines apart."""
    for steps in ("steps", "transformers"):  # Pipeline and TransformerUnion
        if isinstance(found := getattr(value, steps, None), Mapping):
            return found
    if not hasattr(value, "_get_params"):
        return vars(value) if hasattr(value, "__dict__") else repr(value)
    names = inspect.signature(type(value).__init__).parameters
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
