"""When the join writes an order mark into an input that holds the other one up.

In busy inputs the records themselves move the order clocks on. Where none comes, or where the event times of
one input are behind those of the other, the join writes a mark and reads it back. Only then does it go on, so
the order follows from the logs, whenever they are read.
"""

from __future__ import annotations

from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.state import INPUTS, Input

_QUIET_S = 0.005  # an input in which something came so lately will move on by itself
_PATIENCE_S = 0.05  # but nothing is held for longer than this without a mark
_AGAIN_S = 1.0  # a mark that has not helped is followed by another


class OrderMarks:
    """Tells which order marks are to be written into the inputs of a partition.

    One is on its way at a time, so a backlog that is still to be read in an input gets one and not many.

    Parameters
    ----------
    inputs
        What was read of the partition.
    """

    def __init__(self, inputs: PartitionInputs) -> None:
        self._inputs = inputs
        self._heard_s = dict.fromkeys(INPUTS, 0.0)
        self._since_s: float | None = None  # something is held
        self._asked: dict[Input, tuple[int, float]] = {}  # order clock of the last mark, and when
        self._unread: set[Input] = set()  # inputs with a mark on its way
        self._offsets: dict[Input, int] = {}  # of marks that were delivered

    def heard(self, source: Input, now_s: float) -> None:
        """Note that records of an input were read; seconds of a monotonic clock."""
        self._heard_s[source] = now_s
        offset = self._offsets.get(source)
        if offset is not None and offset < self._inputs.next_offset(source):
            self._unread.discard(source)
            del self._offsets[source]

    def wanted(self, now_s: float) -> tuple[Input, int] | None:
        """Return the input that is to be marked now, and the order clock, epoch milliseconds; else None."""
        lagging = self._inputs.merge.lagging
        if lagging is None:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
        source, order_ms = lagging
        hopes = now_s - self._heard_s[source] < _QUIET_S and now_s - self._since_s < _PATIENCE_S
        asked_ms, asked_s = self._asked.get(source, (order_ms - 1, now_s))
        repeats = asked_ms >= order_ms and now_s - asked_s < _AGAIN_S
        return None if hopes or repeats or source in self._unread else lagging

    def asked(self, source: Input, order_ms: int, now_s: float) -> None:
        """Note that a mark is on its way."""
        self._asked[source] = order_ms, now_s
        self._unread.add(source)

    def delivered(self, source: Input, offset: int | None) -> None:
        """Note where a mark is in its log; None: nowhere."""
        if offset is None or offset < self._inputs.next_offset(source):
            self._unread.discard(source)
        else:
            self._offsets[source] = offset
