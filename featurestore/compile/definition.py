"""What all definitions have in common: names in errors, durations, tags and Feast's types."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import FLAT_TYPES, ValueType, is_composite

TAG_PREFIX = "headrace."
VALUE_TYPES: tuple[ValueType, ...] = tuple(name for name in FLAT_TYPES if not is_composite(name))
_MS = timedelta(milliseconds=1)


class Definition:
    """A definition under examination: knows how to complain about itself.

    Parameters
    ----------
    file
        The Python file that defines it.
    name
        What it is and its name, for example ``stream feature view 'delays'``.
    """

    def __init__(self, file: str, name: str) -> None:
        self.file, self.name = file, name

    def part(self, name: str) -> Definition:
        """Something inside it, such as one feature of a view."""
        return Definition(self.file, f"{self.name}, {name}")

    def error(self, problem: str, remedy: str) -> DefinitionError:
        return DefinitionError(self.file, self.name, problem, remedy)

    def milliseconds(self, what: str, duration: timedelta) -> int:
        """A duration as whole milliseconds, not negative."""
        if duration < timedelta(0) or duration % _MS:
            raise self.error(f"{what} is {duration}", "Give a duration of zero or more in whole milliseconds")
        return duration // _MS

    def value_type(self, field: str, dtype: Any, allowed: tuple[ValueType, ...] = VALUE_TYPES) -> ValueType:
        """Feast's type of a field by the name the plan uses."""
        for name in allowed:
            if str(dtype) == name:
                return name
        raise self.error(f"field '{field}' has type {dtype}", _remedy(dtype, allowed))

    def tags(self, tags: Mapping[str, str], known: Iterable[str], free: str = "\0") -> dict[str, str]:
        """The tags that speak to Headrace, without their prefix; names that begin with `free` are taken as
        they are."""
        own = {k.removeprefix(TAG_PREFIX): v for k, v in tags.items() if k.startswith(TAG_PREFIX)}
        for name in own:
            if name not in known and not name.startswith(free):
                raise self.error(
                    f"tag '{TAG_PREFIX}{name}' means nothing",
                    suggestion(TAG_PREFIX + name, [TAG_PREFIX + k for k in known]),
                )
        return own

    def whole_number(self, tags: Mapping[str, str], name: str, default: int, least: int) -> int:
        """An integer tag."""
        text = tags.get(name, str(default))
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise self.error(
                f"tag '{TAG_PREFIX}{name}' is '{text}'", f"Give a whole number of at least {least}"
            )
        return number


def _remedy(dtype: Any, allowed: tuple[ValueType, ...]) -> str:
    text = f"Use one of {', '.join(name for name in allowed if not name.endswith(')'))}"
    if allowed is not VALUE_TYPES:
        return text
    return f"{text}, or an Array or Set of such"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names) or 'none'}"


def field_specs(fields: Iterable[tuple[str, ValueType]]) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(name=name, dtype=dtype) for name, dtype in fields)
