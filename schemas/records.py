"""Record types of the internal topics, in JSON. Times are epoch milliseconds of event time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS

_Raw = TypeVar("_Raw")
_R = TypeVar("_R")
MOST_FIELDS: Final = 1_000  # of a request, join keys, views and arms, each: a name is a column of the archive
MOST_FEATURES: Final = 60_000  # more do not fit into a record, by their names
MOST_LABEL: Final = 2**53  # and least, negated: beyond it neighbouring numbers are one label
Value = bool | int | float | str | None
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # what columns hold
LoggedValue = bool | Whole | float | str | None  # a whole number beyond that is read as a float
TimeMs = Annotated[int, Field(ge=EARLIEST_MS, le=LATEST_MS)]


def _kind_of_label(value: object) -> str:
    return "text" if isinstance(value, str) else "number"


_Number = Annotated[float, Field(ge=-MOST_LABEL, le=MOST_LABEL, allow_inf_nan=False)]
_Class = Annotated[str, Field(max_length=1_000)]  # of a category
Label = Annotated[
    Annotated[_Number, Tag("number")] | Annotated[_Class, Tag("text")], Discriminator(_kind_of_label)
]
Probability = Annotated[float, Field(ge=0.0, le=1.0 + 1e-9, allow_inf_nan=False)]
Distribution = Annotated[dict[str, Probability], Field(max_length=1_000)]  # of a category, by class
Score = Annotated[float, Field(allow_inf_nan=False)] | Distribution
Name = Annotated[str, Field(max_length=10_000)]


class Record(BaseModel):
    """A frozen record, written as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    def to_bytes(self) -> bytes:
        """Encode the record as JSON in UTF-8."""
        return self.model_dump_json().encode()


def read_record(read: Callable[[_Raw], _R], raw: _Raw) -> _R:
    """Read a record of a log by a function that pydantic validates for.

    Raises
    ------
    RecordError
        When the bytes are no such record, whatever the parser makes of them.

    Examples
    --------
    >>> read_record(Outcome.model_validate_json, b"{}")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    headrace.schemas.errors.RecordError: no Outcome: outcome_id: Field required; ...
    """
    try:
        return read(raw)
    except ValidationError as error:
        raise RecordError(f"no {error.title}: {misfit(error)}") from error
    except Exception as error:  # of a value that the parser itself fails on
        raise RecordError(f"it cannot be read: {type(error).__name__}: {error}") from error


def misfit(error: ValidationError, most: int = 3) -> str:
    """Say why bytes are not a record.

    Records have no version: a field that is not known is of a newer Headrace.
    """
    faults = error.errors(include_url=False)
    unknown = [".".join(map(str, fault["loc"])) for fault in faults if fault["type"] == "extra_forbidden"]
    if unknown:
        return (
            f"fields that this Headrace does not know: {', '.join(unknown)}; it was written by a newer one: "
            "run that one"
        )
    reasons = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".strip(": ") for fault in faults[:most])
    return "; ".join(reasons)


class Provenance(Record):
    """The log prefix that a served row follows from, and the event time it was computed at."""

    partition: Whole
    offset: Whole
    as_of_ms: Whole


class Prediction(Record):
    """A logged prediction, with the features it was made of and the choice, exactly as served.

    Attributes
    ----------
    key
        Key that outcomes refer to: the natural key, or the prediction id.
    features
        Values by ``view__feature``.
    scores, versions, propensities
        By arm. The score of a category is its distribution: class to probability. An arm that could not
        answer has the score None.
    untrained
        Arms whose models had learned nothing.
    """

    prediction_id: Name
    router: str
    key: Name
    unit: str
    ts_ms: TimeMs
    entities: Annotated[dict[str, LoggedValue], Field(max_length=MOST_FIELDS)]
    request: Annotated[dict[str, LoggedValue], Field(max_length=MOST_FIELDS)]
    features: Annotated[dict[str, LoggedValue], Field(max_length=MOST_FEATURES)]
    provenance: Annotated[dict[str, Provenance], Field(max_length=MOST_FIELDS)]
    scores: Annotated[dict[str, Score | None], Field(max_length=MOST_FIELDS)]
    versions: Annotated[dict[str, str], Field(max_length=MOST_FIELDS)]
    epoch: Whole
    propensities: Annotated[dict[str, Probability], Field(max_length=MOST_FIELDS)]
    chosen: str
    propensity: Probability
    fallback: str | None = None
    untrained: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    plan_hash: str


class Outcome(Record):
    """A label for the prediction with the same `key`."""

    outcome_id: Name
    key: Name
    label: Label
    ts_ms: TimeMs


class Example(Record):
    """A training example: a prediction with its label.

    `example_id` is the id of the prediction, with ``#n`` behind it for the n-th correction.
    """

    example_id: Name
    prediction: Prediction
    label: Label
    label_ts_ms: TimeMs
    weight: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0


class Closing(Record):
    """A prediction at its time plus the wait, with its label if there is one; of one maturity for all."""

    prediction: Prediction
    status: Literal["matched", "negative", "censored"]
    label: Label | None
    label_ts_ms: TimeMs | None


class Epoch(Record):
    """A frozen propensity vector. Requests draw from it by hashing (salt, epoch, unit)."""

    router: str
    epoch: Whole
    ts_ms: Whole
    offset: Whole  # the prefix of the closings topic it follows from
    propensities: dict[str, float]
    posteriors: dict[str, dict[str, float]]
    plan_hash: str
