"""The kind of a target and its domain: which labels there are, and which scores answer for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from headrace.schemas.numbers import Finite
from headrace.schemas.records import MOST_LABEL
from headrace.schemas.spec import Spec

TargetKind = Literal["binary", "number", "category"]
TARGET_KINDS: Final = get_args(TargetKind)
Distribution = Mapping[str, float]
Score = float | Distribution
MOST_CLASSES: Final = 256  # each is a number of every score of every arm that is logged
MOST_CLASS_CHARACTERS: Final = 200
ROUNDING: Final = 1e-6  # of the sum of a distribution


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[str, ...]) -> bool:
    return not value


class DomainSpec(Spec):
    """The kind of a target, and the labels that it can have.

    Attributes
    ----------
    kind
        ``binary``: labels are 0 and 1, a score is the probability of 1. ``number``: labels and scores are
        numbers in [`low`, `high`]. ``category``: labels are texts among `classes`, a score is a distribution
        over them.
    low, high
        Least and greatest number.
    classes
        Texts, in the order in which ties are decided.
    quantile
        Which quantile of a number is predicted, in (0, 1); None: its mean.

    Examples
    --------
    >>> minutes = DomainSpec(kind="number", low=-120, high=2000)
    >>> minutes.text, minutes.span
    ('number from -120 to 2000', 2120.0)
    >>> DomainSpec(kind="category", classes=("carrier", "weather")).default
    {'carrier': 0.5, 'weather': 0.5}
    """

    kind: TargetKind = "binary"
    low: Finite | None = Field(default=None, exclude_if=_is_none)
    high: Finite | None = Field(default=None, exclude_if=_is_none)
    classes: tuple[Annotated[str, Field(max_length=MOST_CLASS_CHARACTERS)], ...] = Field(
        default=(), exclude_if=_is_empty
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(default=None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (fault := self._fault()) is not None:
            raise ValueError(fault)
        return self

    def _fault(self) -> str | None:
        is_number, is_category = self.kind == "number", self.kind == "category"
        if not is_number and (self.low, self.high, self.quantile) != (None, None, None):
            return f"a target of kind '{self.kind}' has neither `low` nor `high` nor `quantile`"
        if not is_category and self.classes:
            return f"a target of kind '{self.kind}' has no `classes`"
        if is_number:
            return _bounds_fault(self.low, self.high)
        return _classes_fault(self.classes) if is_category else None

    @property
    def span(self) -> float:
        """The width of the range of a number; 1 for the other kinds, whose scores are probabilities."""
        return 1.0 if self.low is None or self.high is None else self.high - self.low

    @property
    def default(self) -> Score:
        """The score without any knowledge: 0.5, the middle of the range, the uniform distribution."""
        if self.kind == "category":
            return dict.fromkeys(self.classes, 1.0 / len(self.classes))
        return 0.5 if self.low is None or self.high is None else self.low / 2.0 + self.high / 2.0

    @property
    def text(self) -> str:
        """The domain in words."""
        if self.kind == "number":
            quantile = "" if self.quantile is None else f", quantile {self.quantile:g}"
            return f"number from {self.low:g} to {self.high:g}{quantile}"
        return f"category of {', '.join(self.classes)}" if self.kind == "category" else self.kind

    def has(self, score: Score) -> bool:
        """Whether a score answers for this target.

        Examples
        --------
        >>> DomainSpec().has(0.3), DomainSpec().has(3.0), DomainSpec().has({"a": 1.0})
        (True, False, False)
        """
        if isinstance(score, Mapping) or self.kind == "category":
            return isinstance(score, Mapping) and self.kind == "category" and self._has(score)
        low, high = (0.0, 1.0) if self.low is None or self.high is None else (self.low, self.high)
        return low <= score <= high

    def _has(self, score: Distribution) -> bool:
        known = score.keys() <= {*self.classes}
        shares = known and all(0.0 <= share <= 1.0 + ROUNDING for share in score.values())
        return shares and abs(math.fsum(score.values()) - 1.0) <= ROUNDING


BINARY: Final = DomainSpec()


def _bounds_fault(low: float | None, high: float | None) -> str | None:
    if low is None or high is None:
        return "a number has no range without `low` and `high`"
    if not -MOST_LABEL <= low < high <= MOST_LABEL:
        return f"`low` {low:g} and `high` {high:g} are no range within 2**53"
    return None


def _classes_fault(classes: tuple[str, ...]) -> str | None:
    if not 2 <= len(classes) <= MOST_CLASSES:
        return f"{len(classes)} classes are not 2 to {MOST_CLASSES}"
    if len({*classes}) < len(classes):
        return "a class is named twice in `classes`"
    return (
        "a class is an empty text, or ends in NUL" if any(not c or c[-1] == "\0" for c in classes) else None
    )
