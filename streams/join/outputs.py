"""Outputs of a partition of the join."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from headrace.schemas.records import Outcome, Prediction
from headrace.streams.join.state import Input
from headrace.streams.join.wire_format import JoinedClosing, JoinedExample

REASONS = {
    "late": "it came after its prediction closed",
    "orphan": "no prediction with its key came within the wait",
}
OVER_QUOTA = "the partition holds its quota of outcomes without a prediction, {} (setting `join_parked`)"
_REACHED = "headrace.reached"
RejectedKind = Literal["late", "orphan", "over_quota"]
TOO_OLD = "its clock is further ahead than twice the wait: a copy could no longer be told from it"


@dataclass(frozen=True)
class Rejected:
    """A record that leads to no output, for the dead-letter topic."""

    input: Input
    offset: int
    record: Prediction | Outcome
    kind: RejectedKind
    reason: str


@dataclass
class Released:
    """Outputs to be written, each list in the order of its topic."""

    examples: list[JoinedExample] = field(default_factory=list)
    closings: list[JoinedClosing] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def made_by(headers: Iterable[tuple[str, bytes | None]] | None) -> int | None:
    """The partition of the join that an output is of, by the header that outputs had before transactions."""
    for name, value in headers or ():
        if name == _REACHED and value is not None and (partition := value.split(b":")[0]).isdigit():
            return int(partition)
    return None
