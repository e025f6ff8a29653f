"""Tables as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.schemas.printable import printable


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, with cells of a column under each other, and printable.

    >>> for line in text_table([("stage", "lag"), ("features", "12")]):
    ...     print(line)
    stage     lag
    features  12
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
