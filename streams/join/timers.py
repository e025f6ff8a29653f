"""Timers of a partition of the join, in the order in which its clock reaches them."""

from __future__ import annotations

import heapq
from typing import Literal

from headrace.streams.join.state import OutcomeState, PredictionState

Action = Literal[0, 1, 2]
CLOSE: Literal[0] = 0  # a prediction
EXPIRE: Literal[1] = 1  # an outcome that is parked
FORGET: Literal[2] = 2  # predictions and outcomes of a key
Timer = tuple[int, Action, str, str]  # due (epoch milliseconds), action, id of prediction or outcome, key


class Timers:
    """A heap of timers.

    A prediction closes, and an outcome expires, `wait_ms` after its event time. Either is forgotten `wait_ms`
    after that. Of timers due at one time, closings come first.

    Parameters
    ----------
    wait_ms
        The router's wait.
    """

    def __init__(self, wait_ms: int) -> None:
        self._wait_ms = wait_ms
        self._heap: list[Timer] = []

    def add_prediction(self, key: str, state: PredictionState) -> None:
        """Set the timers of a prediction that has just arrived or was restored."""
        due_ms = state.ts_ms + self._wait_ms
        if state.prediction is not None:
            heapq.heappush(self._heap, (due_ms, CLOSE, state.prediction_id, key))
        else:
            self.closed(key, due_ms)

    def closed(self, key: str, due_ms: int) -> None:
        """Set the timer that is left of a prediction that was closed at a time, epoch milliseconds."""
        heapq.heappush(self._heap, (due_ms + self._wait_ms, FORGET, "", key))

    def add_outcome(self, key: str, state: OutcomeState) -> None:
        """Set the timers of an outcome that has just arrived or was restored."""
        due_ms = state.outcome.ts_ms + self._wait_ms
        if state.status == "parked":
            heapq.heappush(self._heap, (due_ms, EXPIRE, state.outcome.outcome_id, key))
        heapq.heappush(self._heap, (due_ms + self._wait_ms, FORGET, "", key))

    @property
    def next_due_ms(self) -> int | None:
        """When the first timer is due, epoch milliseconds; None without any."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, clock_ms: int) -> Timer | None:
        """Take the first timer that is due at a clock; None when none is."""
        if self._heap and self._heap[0][0] <= clock_ms:
            return heapq.heappop(self._heap)
        return None
