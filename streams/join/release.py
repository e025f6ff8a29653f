"""What a partition of the join gives out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headrace.schemas.records import Closing, Example, Outcome, Prediction
from headrace.streams.join.state import Input

REASONS = {
    "late": "it came after its prediction closed",
    "orphan": "no prediction with its key came within the wait",
}
TOO_OLD = "its clock is further ahead than twice the wait: a copy could no longer be told from it"


@dataclass(frozen=True)
class Refused:
    """A record that leads nowhere, for the dead-letter topic."""

    input: Input
    offset: int
    record: Prediction | Outcome
    kind: Literal["late", "orphan"]
    reason: str


@dataclass
class Released:
    """What a partition gives out, each list in the order it is to be written."""

    examples: list[Example] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
