"""Expectations of the fields of an event topic, and of the features of a view, from their tags.

    tags={
        "headrace.expect.amount": "min=0 max=10000 quarantine",     # others are dead letters
        "headrace.expect.country": "in='DE|New Zealand' nulls=0.01",  # counted, and told beyond 1 % of nulls
        "headrace.expect.event_ms": "fresh=300",                    # told when the newest event is older
    }

Types are expected by the event schema itself: what does not fit it is a dead letter in any case.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from headrace.featurestore.compile.definition import TAG_PREFIX, Definition, suggestion
from headrace.featurestore.compile.event_schema import EventColumn, Kind
from headrace.schemas.feature_specs import BatchViewSpec, ExpectationSpec, StreamViewSpec

EXPECT = "expect."
_KINDS: dict[str, Kind] = {
    "Int32": "int",
    "Int64": "long",
    "Float32": "float",
    "Float64": "double",
    "String": "string",
    "Bool": "boolean",
}
_WORDS = ("min=", "max=", "in=", "nulls=", "fresh=", "quarantine")


def compile_expectations(
    definition: Definition, tags: Mapping[str, str], columns: Mapping[str, EventColumn], timestamp_field: str
) -> tuple[ExpectationSpec, ...]:
    """One per field, in order of their names.

    Parameters
    ----------
    tags
        Those of Headrace, without prefix; their names are known to be fields.
    columns
        The fields of the event schema.

    Raises
    ------
    DefinitionError
        When an expectation cannot be understood, or does not fit the type of its field.
    """
    found = []
    for name, text in sorted(tags.items()):
        if name.startswith(EXPECT):
            column = columns[name.removeprefix(EXPECT)]
            part = definition.part(f"tag '{TAG_PREFIX}{name}'")
            found.append(_Expectation(part, column, text, timestamp_field).compile())
    return tuple(found)


def compile_view_expectations(
    definition: Definition, view: StreamViewSpec | BatchViewSpec, tags: Mapping[str, str]
) -> tuple[ExpectationSpec, ...]:
    """As `compile_expectations`, of the features of a view.

    Parameters
    ----------
    tags
        All of the view, with their prefix; names that are no features are refused.
    """
    columns = {f.name: EventColumn(f.name, _KINDS.get(f.dtype, "other")) for f in view.features}
    own = {name.removeprefix(TAG_PREFIX): text for name, text in tags.items() if name.startswith(TAG_PREFIX)}
    own = {name: text for name, text in own.items() if name.startswith(EXPECT)}
    for name in own:
        if name.removeprefix(EXPECT) not in columns:
            known = [TAG_PREFIX + EXPECT + column for column in columns]
            raise definition.error(
                f"tag '{TAG_PREFIX}{name}' is of no feature", suggestion(TAG_PREFIX + name, known)
            )
    specs = compile_expectations(definition, own, columns, "")
    for spec in specs:
        if spec.quarantine:
            part = definition.part(f"tag '{TAG_PREFIX}{EXPECT}{spec.field}'")
            raise part.error(
                "a feature follows from records that were accepted",
                "Quarantine the field, in the tags of the source",
            )
    return specs


class _Expectation:
    def __init__(self, definition: Definition, column: EventColumn, text: str, timestamp_field: str) -> None:
        self._definition, self._column = definition, column
        self._of_time = column.name == timestamp_field
        self._words: dict[str, str] = {}
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise definition.error(
                f"'{text}' cannot be read ({error})", "Close the quotation mark"
            ) from error
        for word in words:
            name, equals, value = word.partition("=")
            if f"{name}{equals}" not in _WORDS:
                raise definition.error(f"'{word}' means nothing", suggestion(f"{name}{equals}", _WORDS))
            self._words[name] = value

    def compile(self) -> ExpectationSpec:
        if not self._words.keys() - {"quarantine"}:
            raise self._definition.error("it expects nothing", f"Write {', '.join(_WORDS[:-1])}")
        if self._column.kind == "other":
            raise self._definition.error(
                "the field is no number, text or boolean", "Expect something of a plain field"
            )
        spec = ExpectationSpec(
            field=self._column.name,
            least=self._number("min"),
            most=self._number("max"),
            categories=self._categories(),
            null_share=self._share(),
            fresh_ms=self._fresh_ms(),
            quarantine="quarantine" in self._words,
        )
        if spec.least is not None and spec.most is not None and spec.least > spec.most:
            raise self._definition.error(f"min={spec.least:g} is above max={spec.most:g}", "Exchange them")
        if spec.quarantine and not any(spec.refuses(rule) for rule in self._rules(spec)):
            raise self._definition.error(
                "a share of nulls, or freshness, is no property of one record",
                "Take quarantine out, or write nulls=0",
            )
        return spec

    def _rules(self, spec: ExpectationSpec) -> list[str]:
        return [f"{name}=" for name in ("min", "max", "in", "nulls") if name in self._words]

    def _number(self, name: str) -> float | None:
        if name not in self._words:
            return None
        if not self._column.is_numeric:
            raise self._definition.error(
                f"'{name}=' of a field which is {self._column.kind}", "Expect in=... of it"
            )
        return self._finite(name)

    def _finite(self, name: str) -> float:
        try:
            number = float(self._words[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._definition.error(f"'{name}={self._words[name]}' is no number", f"Write {name}=1.5")
        return number

    def _categories(self) -> tuple[str, ...]:
        found = tuple(filter(None, self._words.get("in", "").split("|")))
        kind = self._column.kind
        if "in" not in self._words or kind == "string":
            return found
        fits = {"int": _is_whole, "long": _is_whole, "boolean": ("true", "false").__contains__}.get(kind)
        bad = [each for each in found if fits is None or not fits(each)]
        if bad or not found:
            raise self._definition.error(
                f"'in={self._words['in']}' of a field that is {kind}",
                "List values of its type, as in in=1|2|3; of floating numbers expect min= and max=",
            )
        return found

    def _share(self) -> float | None:
        if "nulls" not in self._words:
            return None
        share = self._finite("nulls")
        if not 0 <= share < 1:
            raise self._definition.error(f"'nulls={share:g}' is no share", "Write a number from 0 to below 1")
        return share

    def _fresh_ms(self) -> int | None:
        if "fresh" not in self._words:
            return None
        if not self._of_time:
            raise self._definition.error(
                "freshness is that of the event time", "Expect it of timestamp_field"
            )
        return round(self._finite("fresh") * 1000)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()
