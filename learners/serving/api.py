"""Requests and responses of the router's HTTP API."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from headrace.schemas.errors import RecordError
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.records import MOST_FIELDS, Value

MAX_BATCH = 1000
_MOST_TEXT: Final = 1000  # characters of a class; a target has shorter ones
_MOST_NUMBER: Final = sys.float_info.max


def _key_text(value: Any) -> Any:
    """Return the text of a key that is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return natural_key(value)
    except RecordError as error:
        raise ValueError(str(error)) from error


def _without_end(value: str) -> str:
    if value.endswith("\0"):
        raise ValueError("the text ends in NUL; send it without")
    return value


Id = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_without_end)]
Key = Annotated[
    Id, BeforeValidator(_key_text, json_schema_input_type=str | int | float)
]  # numbers that are equal are one key


def _label_like(value: Any) -> Any:
    """Refuse what is no label of any target."""
    if isinstance(value, str) and len(value) <= _MOST_TEXT:
        return value
    if isinstance(value, bool | int | float) and abs(value) <= _MOST_NUMBER:
        return float(value)
    raise ValueError("send a number, true or false, or the text of a class")


Label = Annotated[float | str, BeforeValidator(_label_like, json_schema_input_type=float | str)]


class ApiModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictRequest(ApiModel):
    """A request for a prediction. `router` may be left out when there is one; `ts_ms` defaults to now, and is
    not ahead of it by more than the router's source of outcomes allows; `prediction_id` is minted, `key` is
    the declared natural key or else the prediction id. Numbers are finite, and within 3.4e38."""

    router: Id | None = None
    entities: dict[str, Value] = Field(max_length=MOST_FIELDS)
    request: dict[str, Value] = Field({}, max_length=MOST_FIELDS)
    ts_ms: int | None = Field(None, ge=0, description="event time, epoch milliseconds")
    prediction_id: Id | None = None
    key: Key | None = None

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
    """A prediction. `score` is the probability of 1 for a binary target, a number, or for a category its
    distribution: class to probability. `arm` is the one drawn; `fallback` is ``champion`` or ``default`` when
    that answered in its place. `untrained` is True when the model that answered has learned nothing yet.
    `logged` is False when the log did not acknowledge the prediction in time."""

    prediction_id: str
    key: str
    score: float | dict[str, float]
    arm: str
    version: str
    propensity: float
    epoch: int
    fallback: str | None
    untrained: bool
    logged: bool
    log: LogPosition | None


class PredictBatchResponse(ApiModel):
    predictions: list[PredictResponse]


class OutcomeRequest(ApiModel):
    """A label, for the prediction with this `key`, as the answer to it has; by `prediction_id` where the
    router declares no natural key and the request brought none. It is 0 or 1 for a binary target, a number in
    its range, or for a category the text of a class. An outcome with an `outcome_id` may be sent
    twice."""

    router: Id | None = None
    prediction_id: Id | None = None
    key: Key | None = None
    label: Label
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
    examples: int = Field(description="number of examples that the model has learned")
    untrained: bool
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
    kind: str = Field(description="of the target: binary, number or category")
    low: float | None = Field(description="of a number")
    high: float | None = Field(description="of a number")
    classes: list[str] = Field(description="of a category")
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
