"""Requests and responses of operators."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from headrace.learners.models.operations import MOST_WORDS, Kind
from headrace.learners.serving.api import ApiModel

_MOST_WAIT_S: Final = 60.0


class OperationRequest(ApiModel):
    """What to do with a learner. `version` as ``major.minor``; without one as the command has it. `who` and
    `why` stay in the log. The answer comes once a trainer has taken it up, or after `wait_s`."""

    kind: Kind
    version: str | None = Field(None, max_length=40)
    who: str = Field(min_length=1, max_length=MOST_WORDS)
    why: str = Field(min_length=1, max_length=MOST_WORDS)
    skip: bool = False
    wait_s: float = Field(10.0, ge=0, le=_MOST_WAIT_S)


class OperationResponse(ApiModel):
    """An operation in the log. `state` is ``done``, ``refused`` with `message`, or ``logged`` while no
    trainer has taken it up; `serves` is the version that serves then."""

    id: str
    state: Literal["done", "refused", "logged"]
    serves: str | None
    message: str | None
