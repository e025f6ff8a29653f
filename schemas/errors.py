"""Errors of Headrace, one tree. Each message names the object, the offending value and the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from headrace.schemas.name_hint import name_hint


class HeadraceError(Exception):
    """Base of all errors that Headrace raises."""


def place(file: str, line: int | None) -> str:
    """Return a file with its line, as editors and compilers write it.

    >>> place("features.py", 7), place("features.py", None)
    ('features.py:7', 'features.py')
    """
    return file if line is None else f"{file}:{line}"


class DefinitionError(HeadraceError):
    """A definition in the user's repository cannot be executed as written.

    Parameters
    ----------
    file
        Path of the file that holds the definition, as the user knows it.
    name
        Kind and name of the object, for example ``stream feature view 'carrier_delays'``.
    problem
        The fault, with the offending value.
    remedy
        The definition to write instead.
    line
        Line of the file, from 1 on; None where it is not known.

    Examples
    --------
    >>> print(DefinitionError("features.py", "entity 'user'", "it has no type", "Give it one", line=7))
    features.py:7: entity 'user': it has no type. Give it one
    """

    def __init__(self, file: str, name: str, problem: str, remedy: str, line: int | None = None) -> None:
        super().__init__(f"{place(file, line)}: {name}: {problem}. {remedy}")
        self.file, self.name, self.problem, self.remedy, self.line = file, name, problem, remedy, line

    def at(self, line: int | None) -> Self:
        """Return the error with a line, where it has none."""
        if self.line is not None or line is None:
            return self
        return type(self)(self.file, self.name, self.problem, self.remedy, line)


class NotDefined(DefinitionError):
    """A definition reads another one that is not there: it may stand in a file that cannot be imported."""


class Consequence(DefinitionError):
    """A definition reads another one that has an error, which is told as well."""


class DefinitionErrors(DefinitionError):
    """Several definitions cannot be executed as written.

    Parameters
    ----------
    errors
        One of each, two or more. The attributes are those of the first.
    """

    def __init__(self, errors: Sequence[DefinitionError]) -> None:
        first = errors[0]
        super().__init__(first.file, first.name, first.problem, first.remedy, first.line)
        self.args = (f"{len(errors)} definitions cannot be used:\n" + "\n".join(f"  {e}" for e in errors),)
        self.errors = tuple(errors)


def each_error(error: DefinitionError) -> tuple[DefinitionError, ...]:
    """Return the errors that one stands for: itself, or several."""
    return error.errors if isinstance(error, DefinitionErrors) else (error,)


def raise_all(errors: Sequence[DefinitionError]) -> None:
    """Raise the error that there is, or several as `DefinitionErrors`; none where there is none."""
    if errors:
        raise errors[0] if len(errors) == 1 else DefinitionErrors(errors)


class SettingsError(HeadraceError):
    """A setting is missing or has a value that cannot be used."""


class PlanError(HeadraceError):
    """There is no plan, or not the one that is asked for."""


class SchemaError(HeadraceError):
    """An Avro schema cannot be used, or two schemas are not compatible."""


class RecordError(HeadraceError):
    """A record cannot be processed; in a topic it becomes a dead letter."""


class LabelError(RecordError):
    """A value can be no label of a target; `problem` and `remedy` say why, and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


class StateError(HeadraceError):
    """Persisted state cannot be restored, or does not fit the plan."""


class ProgressTimeout(HeadraceError):
    """A log prefix did not become visible in time; the message names the stage that is behind."""


class UnknownNameError(HeadraceError):
    """A view, feature, service, learner, router or topic of that name does not exist; names the nearest."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"{kind} not found: '{name}'; {name_hint(name, known)}")


class ModelError(HeadraceError):
    """A model artifact is missing, is not authentic, or has content that may not be loaded."""


class ServiceUnavailable(HeadraceError):
    """Kafka, Redis or another service cannot be reached, or refuses a request."""


class DiskError(HeadraceError):
    """A file cannot be written: the disk is full, or does not take it."""


class DeliveryError(HeadraceError):
    """Records of one topic were not delivered.

    Parameters
    ----------
    topic
        Name of the topic.
    counts
        Number of records by partition; -1 for records without a partition.
    cause
        Reason why the first was not delivered.
    remedy
        The way out.
    """

    def __init__(self, topic: str, counts: Mapping[int, int], cause: str, remedy: str) -> None:
        where = ", ".join(
            f"{count} {'in no partition' if partition < 0 else f'in partition {partition}'}"
            for partition, count in sorted(counts.items())
        )
        super().__init__(
            f"topic '{topic}': records that were not delivered: {where}; the first: {cause}. {remedy}"
        )
        self.topic, self.counts, self.cause, self.remedy = topic, dict(counts), cause, remedy

    @property
    def count(self) -> int:
        """Number of records that were not delivered."""
        return sum(self.counts.values())


class RequestError(HeadraceError):
    """A request cannot be answered as it is; `field` is the path of the value to change."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}. {remedy}")
        self.field = field
