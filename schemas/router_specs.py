"""Parts of the plan that `learners.py` declares: learners, and the routers that choose among them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headrace.schemas.names import FieldName, PartName
from headrace.schemas.spec import Spec


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
    definition
        Hash of its model's class paths and parameters.
    """

    name: PartName
    service: str | None
    request: tuple[FieldName, ...] = ()
    target: FieldName
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
    discount: float = 1.0  # per refresh, in (0, 1]
    floor: float = 0.0  # least propensity of an eligible arm
    epsilon: float = 0.1
    shares: dict[str, float] = Field(default={})


class RouterSpec(Spec):
    """A router: arms, the policy that chooses among them, and the source of labels."""

    name: PartName
    arms: tuple[PartName, ...]
    champion: PartName
    target: FieldName
    unit: FieldName  # entity or request field whose value is hashed for sticky assignment
    entities: tuple[FieldName, ...]  # join keys a request must bring
    request: tuple[FieldName, ...]  # request features a request must bring
    outcome: OutcomeSpec | None
    wait_ms: int
    missing: Literal["drop", "negative", "censor"] = "drop"
    duplicates: Literal["first", "last", "sum", "max"] = "first"
    feedback: Literal["shared", "arm"] = "shared"
    reward: Literal["brier", "accuracy", "label"] = "brier"
    policy: PolicySpec
    refresh_ms: int
    publish_ms: int  # event time between two published model versions; 0: wall clock alone
    partitions: int  # of the predictions and outcomes topics
    salt: str
    default: float  # the score when no arm can answer
