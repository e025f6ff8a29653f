"""Requests and responses of the router's HTTP API."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.schemas.records import Value

MAX_BATCH = 1000
Id = Annotated[str, Field(min_length=1, max_length=500)]


class ApiModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictRequest(ApiModel):
    """A request for a prediction. `router` may be left out when there is one; `ts_ms` defaults to now,
    `prediction_id` is minted, `key` is the declared natural key or else the prediction id."""

    router: str | None = None
    entities: dict[str, Value]
    request: dict[str, Value] = {}
    ts_ms: int | None = Field(None, ge=0, description="event time, epoch milliseconds")
    prediction_id: Id | None = None
    key: Id | None = None

    def value(self, name: str) -> Value:
        """Return the value of a join key, else of a request field; None where neither is there."""
        return self.entities.get(name, self.request.get(name))


class PredictBatch(ApiModel):
    requests: list[PredictRequest] = Field(min_length=1, max_length=MAX_BATCH)


class LogPosition(ApiModel):
    """Position of a record in its topic; wait for ``offset + 1`` of this partition."""

    topic: str
    partition: int
    offset: int


class PredictResponse(ApiModel):
    """A prediction. `arm` is the one drawn; `fallback` is ``champion`` or ``default`` when that answered
    in its place. `logged` is False when the log did not acknowledge the prediction in time."""

    prediction_id: str
    key: str
    score: float
    arm: str
    version: str
    propensity: float
    epoch: int
    fallback: str | None
    logged: bool
    log: LogPosition | None


class PredictBatchResponse(ApiModel):
    predictions: list[PredictResponse]


class OutcomeRequest(ApiModel):
    """A label, for the prediction with this natural key, or with this id where no natural key is declared.
    An outcome with an `outcome_id` may be sent twice."""

    router: str | None = None
    prediction_id: Id | None = None
    key: Id | None = None
    label: float = Field(allow_inf_nan=False)
    ts_ms: int | None = Field(None, ge=0, description="event time, epoch milliseconds")
    outcome_id: Id | None = None

    @model_validator(mode="after")
    def _has_a_key(self) -> OutcomeRequest:
        if (self.key is None) == (self.prediction_id is None):
            raise ValueError("give either `key` or `prediction_id`")
        return self


class OutcomeBatch(ApiModel):
    outcomes: list[OutcomeRequest] = Field(min_length=1, max_length=MAX_BATCH)


class OutcomeResponse(ApiModel):
    outcome_id: str
    logged: bool
    log: LogPosition | None


class OutcomeBatchResponse(ApiModel):
    outcomes: list[OutcomeResponse]


class ArmState(ApiModel):
    arm: str
    version: str
    offset: int = Field(description="learned prefix of the examples topic")
    propensity: float


class RouterArms(ApiModel):
    router: str
    epoch: int
    arms: list[ArmState]


class ArmsResponse(ApiModel):
    routers: list[RouterArms]


class RouterInfo(ApiModel):
    name: str
    target: str
    arms: list[str]
    champion: str
    entities: list[str]
    request: list[str]
    unit: str
    policy: str
    reward: str
    wait_ms: int
    plan_hash: str


class RoutersResponse(ApiModel):
    routers: list[RouterInfo]


class ErrorResponse(ApiModel):
    """The path of the field that is wrong, and a sentence that says what to do."""

    field: str | None
    message: str
