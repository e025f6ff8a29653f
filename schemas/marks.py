"""Time marks: records that say "event time has reached t here" and carry nothing else.

A mark has a null value and the header `headrace.time_ms`. It moves the event clock of its partition, so
that windows of quiet keys empty and predictions close although no event arrives. Being in the log, it
keeps everything downstream a pure function of the log. Internal stages pass marks on: the join those that
end something, since it hears more of them than its readers need.
"""

from __future__ import annotations

from collections.abc import Iterable

HEADER = "headrace.time_ms"


def mark_headers(time_ms: int) -> list[tuple[str, bytes]]:
    """Headers of a mark at `time_ms` (epoch milliseconds)."""
    return [(HEADER, str(time_ms).encode())]


def mark_time_ms(headers: Iterable[tuple[str, bytes | None]] | None) -> int | None:
    """The time of a mark, or None when these are no mark's headers."""
    for name, value in headers or ():
        if name == HEADER and value is not None:
            try:
                return int(value)
            except ValueError:
                return None
    return None


def crosses(before_ms: int | None, after_ms: int, every_ms: int) -> bool:
    """Whether a clock that moves from one time to the other reaches a multiple of `every_ms`; the first time
    it is heard of counts as one."""
    return before_ms is None or after_ms // every_ms > before_ms // every_ms
