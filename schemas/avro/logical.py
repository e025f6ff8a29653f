"""Logical types: what a number or some bytes stand for. Columns hold the raw number; a decimal is a double.

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
    """The logical types of a type, alone or in the branches of a union."""
    if isinstance(kind, list):
        return [found for branch in kind for found in logical_types(branch)]
    if not isinstance(kind, dict) or "logicalType" not in kind:
        return []
    return [Logical(str(kind["logicalType"]), int(kind.get("precision", 0)), int(kind.get("scale", 0)))]


def every_logical_type(kind: Any, path: str = "") -> list[tuple[str, Logical]]:
    """The logical types anywhere in a schema, each with where it stands."""
    if isinstance(kind, list):
        return [found for n, branch in enumerate(kind) for found in every_logical_type(branch, f"{path}{n}|")]
    if not isinstance(kind, dict):
        return []
    inside = [(key, kind[key]) for key in ("items", "values") if key in kind]
    inside += [(field["name"], field["type"]) for field in kind.get("fields", ())]
    here = [(path, found) for found in logical_types(kind)]
    return here + [found for name, inner in inside for found in every_logical_type(inner, f"{path}{name}.")]


def decimal_scale(logical: Logical | None, words: Iterable[str]) -> int | None:
    """Digits behind the point, where the types named `words` make a decimal; else None.

    The specification has a logical type that does not fit its type ignored.
    """
    fits = logical is not None and logical.name == "decimal" and set(words) <= {"null", "bytes", "fixed"}
    return logical.scale if logical is not None and fits else None


def decimal_value(raw: bytes, scale: int) -> float:
    """The double nearest to a decimal's big-endian two's complement.

    Raises
    ------
    OverflowError
        When there is none.
    """
    power: int = 10**scale
    return int.from_bytes(raw, "big", signed=True) / power  # true division of integers rounds once


def same_meaning(wrote: Logical | None, wants: Logical | None) -> bool:
    """Whether a raw value means to the reader what it meant to the writer.

    A logical type on one side alone is a matter of documentation, save for a decimal that the reader wants.
    """
    if wants is None or wrote == wants:
        return True
    decimal = "decimal" in (wants.name, wrote.name if wrote else "")
    if decimal:
        return wrote is not None and wants.name == wrote.name and wants.scale == wrote.scale
    return wrote is None
