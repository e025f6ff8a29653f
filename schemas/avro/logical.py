"""Logical types. Columns have the raw numbers; a decimal is a double.

Source: Avro 1.11 specification, "Logical Types".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Logical(NamedTuple):
    """A logical type; `precision` and `scale` are those of a decimal, else 0."""

    name: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"{self.name}({self.precision}, {self.scale})" if self.name == "decimal" else self.name


def logical_types(kind: Any) -> list[Logical]:
    """Return the logical types of a type, or of the branches of a union."""
    if isinstance(kind, list):
        return [logical for branch in kind for logical in logical_types(branch)]
    if not isinstance(kind, dict) or "logicalType" not in kind:
        return []
    return [Logical(str(kind["logicalType"]), int(kind.get("precision", 0)), int(kind.get("scale", 0)))]


def every_logical_type(kind: Any, path: str = "") -> list[tuple[str, Logical]]:
    """Return all logical types in a schema, each with its path."""
    if isinstance(kind, list):
        return [entry for n, branch in enumerate(kind) for entry in every_logical_type(branch, f"{path}{n}|")]
    if not isinstance(kind, dict):
        return []
    inside = [(key, kind[key]) for key in ("items", "values") if key in kind]
    inside += [(field["name"], field["type"]) for field in kind.get("fields", ())]
    own = [(path, logical) for logical in logical_types(kind)]
    return own + [entry for name, inner in inside for entry in every_logical_type(inner, f"{path}{name}.")]


def decimal_scale(logical: Logical | None, words: Iterable[str]) -> int | None:
    """Return the digits behind the point, where the types named `words` are a decimal; else None.

    By the specification, a logical type that does not fit its type is ignored.
    """
    fits = logical is not None and logical.name == "decimal" and set(words) <= {"null", "bytes", "fixed"}
    return logical.scale if logical is not None and fits else None


def decimal_value(raw: bytes, scale: int) -> float:
    """Return the double nearest to a decimal, which is a big-endian two's complement.

    Raises
    ------
    OverflowError
        When there is no such double.
    """
    power: int = 10**scale
    return int.from_bytes(raw, "big", signed=True) / power  # true division of integers rounds once


def same_meaning(wrote: Logical | None, wants: Logical | None) -> bool:
    """Whether a raw value has the same meaning for reader and writer.

    A logical type on one side alone changes nothing, except for a decimal of the reader.
    """
    if wants is None or wrote == wants:
        return True
    decimal = "decimal" in (wants.name, wrote.name if wrote else "")
    if decimal:
        return wrote is not None and wants.name == wrote.name and wants.scale == wrote.scale
    return wrote is None
