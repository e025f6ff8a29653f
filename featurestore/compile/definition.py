"""The common ground of all definitions: their errors, durations, tags and types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeGuard

from pydantic import ValidationError

from headrace.schemas.errors import DefinitionError, NotDefined, place
from headrace.schemas.feature_specs import LONGEST, FieldSpec
from headrace.schemas.feature_types import FLAT_TYPES, ValueType, is_composite
from headrace.schemas.name_hint import name_hint
from headrace.schemas.numbers import LONGEST_MS
from headrace.schemas.records import misfit

TAG_PREFIX = "headrace."
VALUE_TYPES: tuple[ValueType, ...] = tuple(name for name in FLAT_TYPES if not is_composite(name))
_MS = timedelta(milliseconds=1)
_LONGEST = timedelta(milliseconds=LONGEST_MS)


_KINDS = {
    "Entity": "entity",
    "StreamFeatureView": "stream feature view",
    "OnDemandFeatureView": "on demand feature view",
    "LabelView": "label view",
    "FeatureService": "feature service",
    "KafkaSource": "Kafka source",
    "Permission": "permission",
    "Project": "project",
    "Learner": "learner",
    "Router": "router",
}


def object_name(item: Any) -> str:
    """Return kind and name of an object of Feast or of learners, for errors."""
    return f"{_KINDS.get(type(item).__name__, 'feature view')} '{item.name}'"


class CannotRun(DefinitionError):
    """A definition that Feast takes and Headrace does not run. The rest of the repository goes on without."""


class ReadsError(CannotRun):
    """A definition that is left out because one that it reads has an error."""


def follows_from_error(reason: DefinitionError) -> bool:
    """Whether a definition is not in the plan for an error, of its own or of what it reads."""
    return isinstance(reason, ReadsError) or not isinstance(reason, CannotRun)


class Definition:
    """A definition that is compiled, for errors with its file and name.

    Parameters
    ----------
    file
        The Python file that defines it.
    name
        Its kind and name, for example ``stream feature view 'delays'``.
    line
        Where it is in the file; None where that is not known.

    Examples
    --------
    >>> view = Definition("features.py", "stream feature view 'delays'")
    >>> print(view.part("feature 'n_1h'").error("its window is empty", "Give a time_window"))
    features.py: stream feature view 'delays', feature 'n_1h': its window is empty. Give a time_window
    """

    def __init__(self, file: str, name: str, line: int | None = None) -> None:
        self.file, self.name, self.line = file, name, line

    @property
    def place(self) -> str:
        """File and line."""
        return place(self.file, self.line)

    def part(self, name: str) -> Definition:
        """Return a part of the definition, such as one feature of a view."""
        return Definition(self.file, f"{self.name}, {name}", self.line)

    def error(self, problem: str, remedy: str) -> DefinitionError:
        """Make an error of this definition. The caller raises it."""
        return DefinitionError(self.file, self.name, problem, remedy, self.line)

    def not_defined(self, problem: str, remedy: str) -> DefinitionError:
        """Make the error of a definition that reads what is not there. The caller raises it."""
        return NotDefined(self.file, self.name, problem, remedy, self.line)

    def cannot_run(self, problem: str, remedy: str) -> CannotRun:
        """Make the error of a definition that is left out of the plan. The caller raises it."""
        return CannotRun(self.file, self.name, problem, remedy, self.line)

    def without(self, reason: DefinitionError, problem: str) -> CannotRun:
        """Make the error of a definition that reads one that is not in the plan. The caller raises it."""
        make = ReadsError if follows_from_error(reason) else CannotRun
        return make(self.file, self.name, f"{problem}: {reason.problem}", reason.remedy, self.line)

    @contextmanager
    def checking_names(self, leave_out: bool = True) -> Iterator[None]:
        """Leave the definition out, or refuse it, where a part of the plan has a name that none may have.

        Raises
        ------
        DefinitionError
            Says which, and why; a `CannotRun` to leave it out.
        """
        try:
            yield
        except ValidationError as error:
            make = self.cannot_run if leave_out else self.error
            raise make(misfit(error, most=1), "Rename it") from error

    @contextmanager
    def leaving_out(self) -> Iterator[None]:
        """Leave the definition out where it is refused for what Feast takes.

        Raises
        ------
        CannotRun
            In place of the error.
        """
        try:
            yield
        except CannotRun:
            raise
        except DefinitionError as error:
            raise CannotRun(error.file, error.name, error.problem, error.remedy, error.line) from error

    def milliseconds(self, argument: str, duration: timedelta) -> int:
        """Convert the duration of an argument to whole milliseconds; refuse a negative one."""
        if not timedelta(0) <= duration <= _LONGEST or duration % _MS:
            raise self.error(
                f"{argument} is {duration}",
                f"Give a duration of whole milliseconds, from zero to {_LONGEST.days} days",
            )
        return duration // _MS

    def ttl_ms(self, ttl: timedelta | None) -> int:
        """Convert a ttl to whole milliseconds: 0, which is no ttl, where no row can be as old."""
        return self.milliseconds("ttl", ttl) if expires(ttl) else 0

    def value_type(self, field: str, dtype: Any, allowed: tuple[ValueType, ...] = VALUE_TYPES) -> ValueType:
        """Convert Feast's type of a field to the name that the plan uses."""
        for name in allowed:
            if str(dtype) == name:
                return name
        raise self.error(f"field '{field}' has type {dtype}", _remedy(dtype, allowed))

    def tags(self, tags: Mapping[str, str], known: Iterable[str], free: str = "\0") -> dict[str, str]:
        """Return the tags for Headrace, without their prefix.

        Raises
        ------
        DefinitionError
            When a tag is neither among the known ones nor begins with `free`.
        """
        own = {k.removeprefix(TAG_PREFIX): v for k, v in tags.items() if k.startswith(TAG_PREFIX)}
        for name in own:
            if name not in known and not name.startswith(free):
                raise self.error(
                    f"tag '{TAG_PREFIX}{name}' means nothing",
                    suggestion(TAG_PREFIX + name, [TAG_PREFIX + k for k in known]),
                )
        return own

    def whole_number(self, tags: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
        """Return the integer of a tag, `default` without the tag; refuse one that is out of range."""
        text = tags.get(name, str(default))
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise self.error(
                f"tag '{TAG_PREFIX}{name}' is '{text}'", f"Give a whole number from {least} to {most}"
            )
        return number


def _remedy(dtype: Any, allowed: tuple[ValueType, ...]) -> str:
    text = f"Use one of {', '.join(name for name in allowed if not name.endswith(')'))}"
    if allowed is not VALUE_TYPES:
        return text
    return f"{text}, or an Array or Set of such"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known names, or list all of them.

    >>> suggestion("dep_dleay", ["dep_delay", "arr_delay"])
    "Did you mean 'dep_delay'?"
    >>> suggestion("x", ["dep_delay", "arr_delay"])
    'Known: arr_delay, dep_delay'
    """
    hint = name_hint(name, known)
    return hint[0].upper() + hint[1:]


def list_length(definition: Definition, field: Any) -> int:
    """Return how many elements of a list Feast's field declares, as ``vector_length``; 0 where it does not.

    Raises
    ------
    DefinitionError
        When it is no such number.
    """
    if not 0 <= field.vector_length <= LONGEST:
        raise definition.error(
            f"field '{field.name}' has vector_length={field.vector_length}",
            f"Give a number from 1 to {LONGEST}, or take it out",
        )
    return int(field.vector_length) if str(field.dtype).startswith("Array(") else 0


def expires(ttl: timedelta | None) -> TypeGuard[timedelta]:
    """Whether rows can be older than a ttl. Public repositories have ttls of centuries.

    >>> expires(timedelta(days=1)), expires(timedelta(seconds=8_640_000_000)), expires(timedelta(0))
    (True, False, False)
    """
    return bool(ttl) and ttl is not None and ttl <= _LONGEST


def field_specs(fields: Iterable[tuple[str, ValueType]]) -> tuple[FieldSpec, ...]:
    """Make fields of names and types, in their order."""
    return tuple(FieldSpec(name=name, dtype=dtype) for name, dtype in fields)
