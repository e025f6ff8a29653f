"""Parts of the plan that `learners.py` declares: learners, and the routers that choose among them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.names import FieldName, PartName
from headrace.schemas.numbers import Discount, Finite, PartitionCount, Share, SpanMs, SpanOrNoneMs
from headrace.schemas.spec import Spec

_ROUNDING = 1e-9  # of sums of propensities

Reward = Literal["brier", "accuracy", "label", "mae", "mse", "pinball"]


def _is_binary(domain: DomainSpec) -> bool:
    """Whether it is left out of the JSON of a plan, which is then that of before there were kinds."""
    return domain == BINARY


class LearnerSpec(Spec):
    """A learner.

    Attributes
    ----------
    service
        Feature service that it reads; None: it reads fields of the request alone.
    request
        Fields of the request that it reads.
    target
        Name of the label.
    domain
        Kind of the target, with its range or classes.
    definition
        Hash of its model's class paths and parameters, of its inputs, and of the domain.
    """

    name: PartName
    service: str | None
    request: tuple[FieldName, ...] = ()
    target: FieldName
    domain: DomainSpec = Field(default=BINARY, exclude_if=_is_binary)
    definition: str


class OutcomeSpec(Spec):
    """The source of labels: a field of each record of `source`, for the prediction with the same natural key.

    A router without one has its outcomes over HTTP alone.

    Attributes
    ----------
    key_field, label_field
        Fields of the natural key and of the label.
    id_field
        Field that identifies an outcome, so that one that is sent twice counts once; None: its place in the
        topic.
    """

    source: str
    key_field: FieldName
    label_field: FieldName
    id_field: FieldName | None = None


class PolicySpec(Spec):
    """The policy of a router."""

    kind: Literal["thompson", "fixed", "epsilon_greedy"] = "thompson"
    posterior: Literal["beta", "normal"] = "beta"
    discount: Discount = 1.0  # per refresh
    floor: Share = 0.0  # least propensity of an eligible arm
    epsilon: Share = 0.1
    shares: dict[str, Share] = Field(default={})


class RouterSpec(Spec):
    """A router: arms, the policy that chooses among them, and the source of labels."""

    name: PartName
    arms: tuple[PartName, ...]
    champion: PartName
    target: FieldName
    domain: DomainSpec = Field(default=BINARY, exclude_if=_is_binary)
    unit: FieldName  # entity or request field whose value is hashed for sticky assignment
    entities: tuple[FieldName, ...]  # join keys a request must bring
    request: tuple[FieldName, ...]  # request features a request must bring
    outcome: OutcomeSpec | None
    wait_ms: SpanMs
    missing: Literal["drop", "negative", "censor"] = "drop"
    duplicates: Literal["first", "last", "sum", "max"] = "first"
    feedback: Literal["shared", "arm"] = "shared"
    reward: Reward = "brier"
    policy: PolicySpec
    refresh_ms: SpanMs
    publish_ms: SpanOrNoneMs  # event time between two published model versions; 0: wall clock alone
    partitions: PartitionCount  # of the predictions and outcomes topics
    salt: str
    default: Finite | dict[str, Share]  # the score when no arm can answer

    @model_validator(mode="after")
    def _check_propensities(self) -> Self:
        floor, shares = self.policy.floor, self.policy.shares
        if floor * len(self.arms) > 1 + _ROUNDING:
            raise ValueError(f"policy.floor {floor:g} of {len(self.arms)} arms is more than 1")
        if self.policy.kind == "fixed" and abs(sum(shares.values()) - 1) > _ROUNDING:
            raise ValueError(f"policy.shares sum to {sum(shares.values()):g}, not to 1")
        return self

    @model_validator(mode="after")
    def _check_default(self) -> Self:
        if not self.domain.has(self.default):
            raise ValueError(f"default {self.default} is no score of a {self.domain.text} target")
        return self
