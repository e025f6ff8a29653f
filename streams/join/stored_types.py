"""What the values of a join's changelog may be. Of another program, or damaged, they may be anything."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, Strict

from headrace.schemas.records import Prediction
from headrace.streams.join.state import Input, OutcomeStatus

_Whole = Annotated[int, Strict(), Field(ge=0, lt=1 << 62)]  # an offset or a count
_Clock = Annotated[int, Strict(), Field(gt=-(1 << 62), lt=1 << 62)]  # epoch milliseconds
_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Text = Annotated[str, Strict()]
_Label = _Number | _Text  # of a category its class
_Partition = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
_BOTH = Field(min_length=2)  # inputs


class StoredMarks(BaseModel):
    """As `headrace.schemas.marks.PartitionClocks` encodes itself."""

    all: _Clock | None = None
    partitions: _Whole = 1
    each: dict[_Partition, _Clock] = {}


class StoredPosition(BaseModel):
    """See `headrace.streams.join.state.Position`."""

    next_offsets: Annotated[dict[Input, _Whole], _BOTH]
    clocks: Annotated[dict[Input, _Clock | None], _BOTH]
    released_ms: _Clock | None
    counts: dict[_Text, _Whole]
    marks: Annotated[dict[Input, StoredMarks], _BOTH] = {}
    order: Annotated[dict[Input, _Clock | None], _BOTH] = {}
    ends: dict[_Text, _Whole] = {}
    topics: dict[Input, _Text] = {}


StoredOutcome = tuple[_Text, _Label, _Clock, _Whole, _Clock, OutcomeStatus, Annotated[bool, Strict()]]


class StoredKey(BaseModel):
    """Rows of a key: predictions (``p``), each with length and checksum of its JSON, and outcomes (``o``)."""

    p: list[tuple[_Text, _Clock, _Clock, _Whole, _Label | None, tuple[_Whole, _Whole] | None]]
    o: list[StoredOutcome]


class StoredKey1(BaseModel):
    """As of version 1: predictions stand in their rows.

    They are as they were read, so JSON is to be read by the parser that took them: another one may refuse
    what it took, such as an integer of 400 digits.
    """

    p: list[tuple[_Text, _Clock, _Clock, _Whole, _Label | None, Prediction | None]]
    o: list[StoredOutcome]
