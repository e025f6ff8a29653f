"""The expectation of one field, from the text of its tag: ``min=0 max=10000 nulls=0.01 quarantine``."""

from __future__ import annotations

import math
import shlex

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.schemas.feature_specs import ExpectationSpec
from headrace.schemas.numbers import LONGEST_MS

_WORDS = ("min=", "max=", "in=", "nulls=", "fresh=", "quarantine")
_RECORD_RULES = ("min", "max", "in", "nulls")


def read_expectation(
    definition: Definition, column: EventColumn, text: str, is_event_time: bool
) -> ExpectationSpec:
    """Read what is expected of a field.

    Parameters
    ----------
    definition
        The tag, for its errors.
    column
        The field.
    text
        Of the tag.
    is_event_time
        Whether the field is the event time, of which freshness can be expected.

    Raises
    ------
    DefinitionError
        When the text cannot be read, or does not fit the type of the field.

    Examples
    --------
    >>> tag = Definition("features.py", "tag 'headrace.expect.amount'")
    >>> spec = read_expectation(tag, EventColumn("amount", "double"), "min=0 max=10 quarantine", False)
    >>> (spec.least, spec.most, spec.quarantine)
    (0.0, 10.0, True)
    """
    words = _words(definition, text)
    if not words.keys() - {"quarantine"}:
        raise definition.error("it expects nothing", f"Write {', '.join(_WORDS[:-1])}")
    if column.kind == "other":
        raise definition.error("the field is no number, text or boolean", "Expect something of a plain field")
    return _ExpectationReader(definition, column, words, is_event_time).read()


def _words(definition: Definition, text: str) -> dict[str, str]:
    """Split a text into its words, each with the value behind ``=``."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise definition.error(f"'{text}' cannot be read ({error})", "Close the quotation mark") from error
    words = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if f"{name}{equals}" not in _WORDS:
            raise definition.error(f"'{part}' means nothing", suggestion(f"{name}{equals}", _WORDS))
        words[name] = value
    return words


class _ExpectationReader:
    def __init__(
        self, definition: Definition, column: EventColumn, words: dict[str, str], is_event_time: bool
    ) -> None:
        self._definition, self._column, self._words = definition, column, words
        self._is_event_time = is_event_time

    def read(self) -> ExpectationSpec:
        spec = ExpectationSpec(
            field=self._column.name,
            least=self._bound("min"),
            most=self._bound("max"),
            categories=self._categories(),
            null_share=self._null_share(),
            fresh_ms=self._fresh_ms(),
            quarantine="quarantine" in self._words,
        )
        if spec.least is not None and spec.most is not None and spec.least > spec.most:
            raise self._definition.error(f"min={spec.least:g} is above max={spec.most:g}", "Exchange them")
        if spec.quarantine and not any(
            spec.refuses(f"{name}=") for name in _RECORD_RULES if name in self._words
        ):
            raise self._definition.error(
                "a share of nulls, or freshness, is no property of one record",
                "Take quarantine out, or write nulls=0",
            )
        return spec

    def _bound(self, name: str) -> float | None:
        if name not in self._words:
            return None
        if not self._column.is_numeric:
            raise self._definition.error(
                f"'{name}=' of a field which is {self._column.kind}", "Expect in=... of it"
            )
        return self._number(name)

    def _number(self, name: str) -> float:
        try:
            number = float(self._words[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._definition.error(f"'{name}={self._words[name]}' is no number", f"Write {name}=1.5")
        return number

    def _categories(self) -> tuple[str, ...]:
        categories = tuple(filter(None, self._words.get("in", "").split("|")))
        kind = self._column.kind
        for category in categories if self._column.symbols else ():
            if category not in self._column.symbols:
                raise self._definition.error(
                    f"'in={self._words['in']}' of an enum that has no '{category}'",
                    suggestion(category, self._column.symbols),
                )
        if "in" not in self._words or kind == "string":
            return categories
        fits = {"int": _is_whole, "long": _is_whole, "boolean": ("true", "false").__contains__}.get(kind)
        if not categories or fits is None or not all(map(fits, categories)):
            raise self._definition.error(
                f"'in={self._words['in']}' of a field that is {kind}",
                "List values of its type, as in in=1|2|3; of floating numbers expect min= and max=",
            )
        return categories

    def _null_share(self) -> float | None:
        if "nulls" not in self._words:
            return None
        share = self._number("nulls")
        if not 0 <= share < 1:
            raise self._definition.error(f"'nulls={share:g}' is no share", "Write a number from 0 to below 1")
        return share

    def _fresh_ms(self) -> int | None:
        if "fresh" not in self._words:
            return None
        if not self._is_event_time:
            raise self._definition.error(
                "freshness is that of the event time", "Expect it of timestamp_field"
            )
        fresh_ms = round(self._number("fresh") * 1000)
        if not 0 <= fresh_ms <= LONGEST_MS:
            raise self._definition.error(
                f"'fresh={self._words['fresh']}' is no age", f"Write seconds from 0 to {LONGEST_MS // 1000}"
            )
        return fresh_ms


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()
