"""Time marks: records that say "event time has reached t here" and carry nothing else.

A mark has a null value and the header `headrace.time_ms`. It moves the event clock of its partition, so
that windows of quiet keys empty and predictions close although no event arrives. Being in the log, it
keeps everything downstream a pure function of the log. Internal stages pass marks on: the join those that
end something, since it hears more of them than its readers need.

A mark that is passed on to a topic of others names the partition it speaks of in a second header,
`headrace.partition`, as ``partition/partitions`` of the input. Each partition may have another owner, and
whoever reads the marks takes the least. A mark without that header speaks of all partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

HEADER = "headrace.time_ms"
PARTITION_HEADER = "headrace.partition"
_Headers = Iterable[tuple[str, bytes | None]] | None


@dataclass(frozen=True)
class Mark:
    """Event time has reached `time_ms` (epoch milliseconds) in one of `partitions`; None: in all of them."""

    time_ms: int
    partition: int | None = None
    partitions: int = 1


def mark_headers(time_ms: int, partition: int | None = None, partitions: int = 1) -> list[tuple[str, bytes]]:
    """Headers of a mark at `time_ms` (epoch milliseconds), of one partition of so many or of all."""
    headers = [(HEADER, str(time_ms).encode())]
    if partition is not None:
        headers.append((PARTITION_HEADER, f"{partition}/{partitions}".encode()))
    return headers


def read_mark(headers: _Headers) -> Mark | None:
    """The mark with these headers, or None when they are no mark's."""
    values = {name: value for name, value in headers or () if value is not None}
    if HEADER not in values:
        return None
    try:
        time_ms = int(values[HEADER])
        if PARTITION_HEADER not in values:
            return Mark(time_ms)
        partition, partitions = map(int, values[PARTITION_HEADER].split(b"/"))
    except ValueError:
        return None
    return Mark(time_ms, partition, partitions) if 0 <= partition < partitions else None


def mark_time_ms(headers: _Headers) -> int | None:
    """The time of a mark, or None when these are no mark's headers."""
    mark = read_mark(headers)
    return None if mark is None else mark.time_ms


class PartitionClocks:
    """The event time that all partitions of an input have reached, by the marks that speak of them.

    A partition that no mark has spoken of holds it back. It never goes back.

    Parameters
    ----------
    state
        What `encode` gave, to go on from.

    Examples
    --------
    >>> clocks = PartitionClocks()
    >>> clocks.advance(Mark(100, partition=0, partitions=2))
    >>> clocks.advance(Mark(40, partition=1, partitions=2))
    40
    >>> clocks.advance(Mark(60))
    60
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self._all_ms: int | None = state.get("all")
        self._partitions: int = state.get("partitions", 1)
        self._each_ms: dict[int, int] = {int(name): ms for name, ms in state.get("each", {}).items()}

    @property
    def least_ms(self) -> int | None:
        """What all partitions have reached, epoch milliseconds; None before every one was spoken of."""
        if len(self._each_ms) < self._partitions:
            return self._all_ms
        least_ms: int = min(self._each_ms.values())
        return least_ms if self._all_ms is None else max(least_ms, self._all_ms)

    def advance(self, mark: Mark) -> int | None:
        """Take a mark in; returns `least_ms`."""
        if mark.partition is None:
            self._all_ms = mark.time_ms if self._all_ms is None else max(mark.time_ms, self._all_ms)
        else:
            if mark.partitions > self._partitions:
                self._all_ms, self._partitions = self.least_ms, mark.partitions
            before_ms = self._each_ms.get(mark.partition, mark.time_ms)
            self._each_ms[mark.partition] = max(mark.time_ms, before_ms)
        return self.least_ms

    def encode(self) -> dict[str, Any]:
        """The state, for JSON."""
        each = {str(partition): time_ms for partition, time_ms in sorted(self._each_ms.items())}
        return {"all": self._all_ms, "partitions": self._partitions, "each": each}


def crosses(before_ms: int | None, after_ms: int, every_ms: int) -> bool:
    """Whether a clock that moves from one time to the other reaches a multiple of `every_ms`; the first time
    it is heard of counts as one."""
    return before_ms is None or after_ms // every_ms > before_ms // every_ms
