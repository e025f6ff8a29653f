"""Models and epoch that answer a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from headrace.learners.models.inputs import Inputs
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.records import Epoch

UNTRAINED: Final = "untrained"  # in place of a version, of a model that is none


@dataclass(frozen=True)
class LiveArm:
    """A model that serves.

    Attributes
    ----------
    name
        The arm, which is a learner.
    model
        A river estimator.
    version
        ``major.minor``; `UNTRAINED` of a model that nobody has published.
    offset
        The model stands for the prefix ``[0, offset)`` of the examples topic.
    inputs
        Selects what the model reads.
    examples
        Number of examples that the model has learned.
    others
        Features that it reads and the plan's definition of the router does not: it is of another definition.
    """

    name: str
    model: Any
    version: str
    offset: int
    inputs: Inputs
    examples: int = 0
    others: tuple[FeatureRef, ...] = ()

    @property
    def is_untrained(self) -> bool:
        """Whether the model has learned nothing."""
        return self.examples == 0


@dataclass(frozen=True)
class Live:
    """Models and epoch that answer a request; replaced as a whole, so that a request sees one state.

    Attributes
    ----------
    others
        Features that its models read besides those of the router.
    """

    arms: tuple[LiveArm, ...]
    epoch: Epoch
    others: tuple[FeatureRef, ...] = field(init=False)

    def __post_init__(self) -> None:
        others = tuple(dict.fromkeys(ref for arm in self.arms for ref in arm.others))
        object.__setattr__(self, "others", others)
