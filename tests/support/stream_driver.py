"""A `StreamDriver` that keeps the last row of every key as plain values."""

from __future__ import annotations

from typing import Any

from headrace.streams.sinks import OnlineRows
from headrace.testing import stream_driver


class StreamDriver(stream_driver.StreamDriver):
    """All partitions and shards of one source of a plan, and the rows that a reader would see."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.online: dict[tuple[str, tuple], dict[str, Any]] = {}

    @property
    def rejected(self) -> dict[tuple[int, int], Any]:
        """Records turned away, by partition and offset."""
        dead_letters = (dead_letter for dead_letter in self.dead_letters if dead_letter.kind != "overflow")
        return {(dead_letter.partition, dead_letter.offset): dead_letter for dead_letter in dead_letters}

    @property
    def unfit(self) -> list[Any]:
        """Dead letters of sums."""
        return [dead_letter for dead_letter in self.dead_letters if dead_letter.kind == "overflow"]

    def store(self, rows: OnlineRows) -> None:
        view = self.plan.stream_view(rows.view)
        names = [aggregation.feature for aggregation in view.aggregations]
        for row in range(len(rows)):
            key = tuple(plain_value(column, row) for column in rows.keys)
            values = [plain_value(values, row) if valid[row] else None for values, valid in rows.features]
            self.online[rows.view, key] = dict(zip(names, values, strict=True))


def plain_value(column: Any, row: int) -> Any:
    (value,) = column[row : row + 1].tolist()
    if isinstance(value, list):
        return [one.decode() if isinstance(one, bytes) else one for one in value]
    return value.decode() if isinstance(value, bytes) else value
