"""What all parts of the plan have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen part of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")
