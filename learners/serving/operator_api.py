"""Requests and responses of operators."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

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


class ModelResponse(ApiModel):
    """A version, with the fields of its record in the log. `kept`: its artifact is; `pinned`: it serves by
    the word of an operator; `held`: it ever was pinned or promoted. `operations` is what operators did with
    its learner, where one version is asked for."""

    model_config = ConfigDict(extra="allow", frozen=True)

    version: str
    kept: bool
    serves: bool
    pinned: bool
    held: bool
    operations: list[dict[str, Any]] | None = None


class ModelsResponse(ApiModel):
    """By learner the versions whose artifacts are kept, the oldest first."""

    learners: dict[str, list[ModelResponse]]


class DiffResponse(ApiModel):
    """What two versions differ in: name of a field or metric, and both values."""

    differences: list[tuple[str, Any, Any]]


class CardResponse(ApiModel):
    """The card of a version, as Markdown or as a page of HTML."""

    format: Literal["markdown", "html"]
    card: str
