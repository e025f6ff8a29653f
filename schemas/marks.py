"""Time marks: records that say "event time has reached t here" and carry nothing else.

A mark has a null value and the header `headrace.time_ms`. It advances the event clock of its partition, so
that windows of quiet keys empty and predictions close although no event arrives. Since marks are in the log,
everything downstream remains a pure function of the log. Internal stages forward marks; the join forwards
those that end something, since it reads more of them than its readers need.

A mark that is forwarded to a topic with other partitions names the partition it is of in a second header,
`headrace.partition`, as ``partition/partitions`` of the input. Each partition may have another owner, and
readers take the least of the marks. A mark without that header is of all partitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS

HEADER = "headrace.time_ms"
PARTITION_HEADER = "headrace.partition"
MOST_PARTITIONS = 4096  # of an event topic
_TIME = re.compile(rb"-?[0-9]{1,15}")
_PLACE = re.compile(rb"([0-9]{1,4})/([0-9]{1,4})")
_Headers = Iterable[tuple[str, bytes | None]] | None


@dataclass(frozen=True)
class Mark:
    """Event time has reached `time_ms` (epoch milliseconds) in `partition` of `partitions`; None: in all."""

    time_ms: int
    partition: int | None = None
    partitions: int = 1


def mark_headers(time_ms: int, partition: int | None = None, partitions: int = 1) -> list[tuple[str, bytes]]:
    """Return the headers of a mark: of one partition among so many, or of all.

    Examples
    --------
    >>> headers = mark_headers(1_000)
    >>> headers, read_mark(headers)
    ([('headrace.time_ms', b'1000')], Mark(time_ms=1000, partition=None, partitions=1))
    """
    headers = [(HEADER, str(time_ms).encode())]
    if partition is not None:
        headers.append((PARTITION_HEADER, f"{partition}/{partitions}".encode()))
    return headers


def read_mark(headers: _Headers) -> Mark | None:
    """Return the mark with some headers, or None when they are not those of a mark.

    Examples
    --------
    >>> read_mark([("headrace.time_ms", b"9" * 20)])
    """
    values = {name: value for name, value in headers or () if value is not None}
    if HEADER not in values:
        return None
    time = _TIME.fullmatch(values[HEADER])
    if time is None or not EARLIEST_MS <= int(time[0]) <= LATEST_MS:
        return None
    if PARTITION_HEADER not in values:
        return Mark(int(time[0]))
    place = _PLACE.fullmatch(values[PARTITION_HEADER])
    if place is None or not int(place[1]) < int(place[2]) <= MOST_PARTITIONS:
        return None
    return Mark(int(time[0]), int(place[1]), int(place[2]))


def mark_time_ms(headers: _Headers) -> int | None:
    """Return the time of the mark with some headers, or None when they are not those of a mark."""
    mark = read_mark(headers)
    return None if mark is None else mark.time_ms


class PartitionClocks:
    """The event time that all partitions of an input have reached, by their marks. It only advances.

    A partition without a mark holds it back.

    Parameters
    ----------
    state
        A result of `encode`, to continue from.

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
        """Event time that all partitions have reached, epoch milliseconds; None before each has a mark."""
        if len(self._each_ms) < self._partitions:
            return self._all_ms
        least_ms: int = min(self._each_ms.values())
        return least_ms if self._all_ms is None else max(least_ms, self._all_ms)

    def advance(self, mark: Mark) -> int | None:
        """Take a mark, and return `least_ms`."""
        if mark.partition is None:
            self._all_ms = mark.time_ms if self._all_ms is None else max(mark.time_ms, self._all_ms)
        else:
            if mark.partitions > self._partitions:
                self._all_ms, self._partitions = self.least_ms, mark.partitions
            before_ms = self._each_ms.get(mark.partition, mark.time_ms)
            self._each_ms[mark.partition] = max(mark.time_ms, before_ms)
        return self.least_ms

    def encode(self) -> dict[str, Any]:
        """Return the state, for JSON."""
        each = {str(partition): time_ms for partition, time_ms in sorted(self._each_ms.items())}
        return {"all": self._all_ms, "partitions": self._partitions, "each": each}


def crosses(before_ms: int | None, after_ms: int, every_ms: int) -> bool:
    """Whether a clock that advances from one time to another reaches a multiple of `every_ms`.

    The first time of a clock, after None, counts as one.

    Examples
    --------
    >>> crosses(59, 60, every_ms=60), crosses(60, 119, every_ms=60), crosses(None, 7, every_ms=60)
    (True, False, True)
    """
    return before_ms is None or after_ms // every_ms > before_ms // every_ms
