"""The code of ``learners.py`` that a model calls: a pickle names it, and does not hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.learners.models.definition_hash import describe
from headrace.schemas.errors import ModelError


def project_code(model: object) -> dict[str, str]:
    """Return the functions and classes of a project that a model is made of, with hashes of their sources.

    >>> from river import linear_model
    >>> project_code(linear_model.LogisticRegression())
    {}
    """
    return {
        path: hashlib.sha256(source.encode()).hexdigest()
        for path, source in sorted(_sources(describe(model)))
    }


def check_code(name: str, learned_with: Mapping[str, str], model: object) -> None:
    """Refuse a loaded model whose functions and classes are others by now: it has not learned with those.

    Raises
    ------
    ModelError
        Names the first of them.
    """
    now = project_code(model)
    for path, digest in learned_with.items():
        if now.get(path, digest) != digest:
            raise ModelError(
                f"model {name} has learned with another '{path.rpartition('.')[2]}' than learners.py has; "
                "processes of the plan before serve it until `train` has one of this plan that knows as much"
            )


def _sources(described: Any) -> Iterator[tuple[str, str]]:
    """Yield path and source of each function and class in a description."""
    if isinstance(described, dict):
        if isinstance(path := described.get("path"), str) and isinstance(
            source := described.get("source"), str
        ):
            yield path, source
        for part in described.values():
            yield from _sources(part)
    elif isinstance(described, list):
        for part in described:
            yield from _sources(part)
