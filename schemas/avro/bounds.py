"""Bounds of a schema: what its text may ask of those who parse, compile and read it.

A type is defined once and named as often as one likes, so that a text of two kilobytes can describe records
of 2^30 parts. Reading such a record costs what it occupies, unless its parts occupy nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.schemas.errors import SchemaError

MAX_NESTING = 256  # levels of JSON; a record in a record takes three
MAX_FREE = 1_000  # parts of a type whose values occupy no bytes
MAX_SYMBOLS = 16 * 1024**2  # bytes of an enum's table, in which each symbol is as long as the longest
MAX_STEPS = 5_000  # parts of a type that is passed over column by column
_FREE = ("null",)


def refuse_deep(raw: Any, label: str) -> None:
    """Refuse JSON that is nested too deep for a schema.

    Raises
    ------
    SchemaError
        Names the schema.

    Examples
    --------
    >>> refuse_deep({"type": "array", "items": "long"}, "schema 7")
    """
    level, depth = [raw], 0
    while level:
        if depth > MAX_NESTING:
            raise SchemaError(f"{label} is nested deeper than {MAX_NESTING} levels; flatten it")
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [part for each in inner for part in (each.values() if isinstance(each, dict) else each)]
        depth += 1


class Weights:
    """Counts the parts of types, with named types written out as often as they are named.

    Parts of unions, arrays and maps do not count: a value has none of them without a byte that says so.

    Parameters
    ----------
    named
        Definitions by full name, without logical types.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._steps: dict[str, int] = {}
        self._free: dict[str, bool] = {}

    def steps(self, kind: Any) -> int:
        """Return the number of parts of a type; 0 for what is recursive, which no value ends."""
        if isinstance(kind, str) and kind in self._named:
            kind = self._named[kind]
        if not isinstance(kind, dict) or "fields" not in kind:
            return 1
        name = kind["name"]
        if name not in self._steps:
            self._steps[name] = 0
            self._steps[name] = 1 + sum(self.steps(field["type"]) for field in kind["fields"])
        return self._steps[name]

    def is_free(self, kind: Any) -> bool:
        """Whether every value of a type occupies no bytes."""
        if isinstance(kind, str) and kind in self._named:
            kind = self._named[kind]
        if not isinstance(kind, dict):
            return kind in _FREE
        if "fields" not in kind:
            return kind.get("type") == "fixed" and kind.get("size") == 0
        name = kind["name"]
        if name not in self._free:
            self._free[name] = True
            self._free[name] = all(self.is_free(field["type"]) for field in kind["fields"])
        return self._free[name]


def refuse_free(named: Mapping[str, Any], label: str) -> None:
    """Refuse a schema with a type of many parts whose values occupy no bytes.

    Raises
    ------
    SchemaError
        Names the schema and the type.
    """
    weights = Weights(named)
    for name in named:
        if weights.is_free(name) and (steps := weights.steps(name)) > MAX_FREE:
            shown = str(steps) if steps < 10**9 else "billions of"
            raise SchemaError(
                f"{label}: a value of '{name}' has {shown} parts that occupy no bytes, more than {MAX_FREE}; "
                "take fields of null and of records without fields out of it"
            )


def refuse_wide(named: Mapping[str, Any], label: str) -> None:
    """Refuse a schema with an enum whose symbols, each as long as the longest, are above `MAX_SYMBOLS`.

    Raises
    ------
    SchemaError
        Names the schema and the enum.

    Examples
    --------
    >>> refuse_wide({"E": {"type": "enum", "symbols": ["a"]}}, "schema 7")
    """
    for name, definition in named.items():
        symbols = definition.get("symbols", ())
        longest = max(map(len, symbols), default=0)
        if len(symbols) * longest > MAX_SYMBOLS:
            told = f"{len(symbols)} symbols of up to {longest} characters"
            raise SchemaError(f"{label}: enum '{name}' has {told}; shorten them")
