"""What a router makes of labels: reward, default, missing and repeated ones, as its target's kind allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Final, cast

from headrace.learners.compile.features import avro_fields
from headrace.learners.compile.requirements import Requirements
from headrace.learners.definitions import Router
from headrace.schemas.domains import ROUNDING, DomainSpec, TargetKind
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.router_specs import Reward

REWARDS: Final[Mapping[TargetKind, tuple[Reward, ...]]] = {
    "binary": ("brier", "accuracy", "label"),
    "number": ("mae", "mse", "pinball", "label"),
    "category": ("brier", "accuracy"),
}
_DUPLICATES: Final[Mapping[TargetKind, tuple[str, ...]]] = {
    "binary": ("first", "last", "max"),
    "number": ("first", "last", "sum", "max"),
    "category": ("first", "last"),
}
_MISSING: Final = ("drop", "negative", "censor")
_FEEDBACK: Final = ("shared", "arm")


class LabelRules:
    """Checks what a router makes of the labels of its target.

    Parameters
    ----------
    requirements
        Raises for what does not fit.
    router
        The definition.
    target, domain
        Of its arms.
    """

    def __init__(self, requirements: Requirements, router: Router, target: str, domain: DomainSpec) -> None:
        self._require, self._where = requirements.require, f"router '{router.name}'"
        self._router, self._target, self._domain = router, target, domain

    def check(self) -> None:
        """Require that missing and repeated labels are given a meaning that the kind allows."""
        router, domain = self._router, self._domain
        self._one_of("missing", router.missing, _MISSING)
        self._one_of("feedback", router.feedback, _FEEDBACK)
        self._one_of("duplicates", router.duplicates, _DUPLICATES[domain.kind])
        has_zero = domain.kind != "category" and (domain.low is None or domain.has(0.0))
        problem = f"`missing` is 'negative', which is label 0, and target '{self._target}' is {domain.text}"
        remedy = "Use 'drop' or 'censor'"
        self._require(router.missing != "negative" or has_zero, self._where, problem, remedy)

    def reward(self) -> Reward:
        """Return the reward, of the kind where none is given."""
        domain, given = self._domain, self._router.reward
        if given is None:
            if domain.kind != "number":
                return "brier"
            return "mae" if domain.quantile is None else "pinball"
        self._one_of("reward", given, REWARDS[domain.kind])
        problem = f"`reward` is 'pinball', and target '{self._target}' has no `quantile`"
        remedy = "Give the Target a quantile, such as quantile=0.9, or use 'mae' or 'mse'"
        self._require(given != "pinball" or domain.quantile is not None, self._where, problem, remedy)
        return given

    def default(self) -> float | dict[str, float]:
        """Return the score without an answer, of the kind where none is given."""
        given, domain = self._router.default, self._domain
        if given is None:
            return cast(float | dict[str, float], domain.default)
        if domain.kind == "category":
            return self._distribution(given)
        problem = f"`default` is {given!r:.80}, and target '{self._target}' is {domain.text}"
        fits = isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(given)
        remedy = "Use a probability in [0, 1]"
        if domain.kind == "number":
            remedy = f"Use a number from {domain.low:g} to {domain.high:g}"
        else:
            remedy += f"; of a number say Target('{self._target}', kind='number', low=…, high=…)"
        self._require(fits and domain.has(float(cast(float, given))), self._where, problem, remedy)
        return float(cast(float, given))

    def _distribution(self, given: float | Mapping[str, float]) -> dict[str, float]:
        classes = self._domain.classes
        problem = f"`default` is {given!r:.80}, and target '{self._target}' is {self._domain.text:.80}"
        remedy = "Give each class its share, as in {'carrier': 0.7, 'weather': 0.3}; shares sum to 1"
        self._require(isinstance(given, Mapping), self._where, problem, remedy)
        shares = dict(cast(Mapping[str, float], given))
        unknown = [name for name in shares if name not in classes]
        problem = f"`default` names {unknown!r:.80}, no class of target '{self._target}'"
        self._require(not unknown, self._where, problem, f"Use classes of: {', '.join(classes)}")
        fits = all(isinstance(share, Real) and 0.0 <= share <= 1.0 for share in shares.values())
        problem = f"the shares of `default` are {list(shares.values())!r:.80}"
        fits = fits and abs(math.fsum(shares.values()) - 1.0) <= ROUNDING
        self._require(fits, self._where, problem, "Use numbers from 0 to 1 that sum to 1")
        return {name: float(shares.get(name, 0.0)) for name in classes}

    def check_field(self, source: SourceSpec, field: str) -> None:
        """Require that a field of events can hold labels of the target."""
        dtype, name = avro_fields(source)[field], self._target
        if self._domain.kind == "category":
            problem = f"outcome label field '{field}' of '{source.name}' is {dtype}, and '{name}' a category"
            remedy = "Send its class as a text or a whole number"
            self._require(dtype in ("String", "Int64"), self._where, problem, remedy)
        else:
            problem = f"outcome label field '{field}' of '{source.name}' is a text, and target '{name}' is "
            problem += self._domain.text
            remedy = f"Send a number or a boolean, or say Target('{name}', kind='category', classes=(…))"
            self._require(dtype != "String", self._where, problem, remedy)

    def _one_of(self, name: str, value: object, allowed: tuple[str, ...]) -> None:
        problem = f"`{name}` is {value!r:.80}, and target '{self._target}' is {self._domain.text:.80}"
        remedy = f"Use one of: {', '.join(allowed)}"
        self._require(isinstance(value, str) and value in allowed, self._where, problem, remedy)
