"""The log-and-wait join of one partition: predictions and outcomes in, examples and closings out.

Pure logic, no I/O. With ``wait`` the router's wait, and for each input a clock (greatest event time of any
record or mark seen in it), prediction ``P`` and outcome ``o`` of one key belong together when

    outcomes clock at o < P.ts + wait    and    predictions clock at P < o.ts + wait,

each clock taken at arrival, the record itself included. That depends on each input alone, so closings and
counts do not depend on how the two inputs interleave. The clock of the partition is the lesser of the two. A
prediction closes when it reaches ``P.ts + wait``; an outcome that belonged to nothing by ``o.ts + wait`` is
late if it came after the closing of a prediction of its key, else orphan. Both are remembered until
``ts + 2 * wait``, when nothing that belongs to them can come any more; what comes later than that by the
clock of its own input is late at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from headrace.schemas.marks import Mark, PartitionClocks
from headrace.schemas.records import Closing, Example, Outcome, Prediction
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.join.labels import FOLDS
from headrace.streams.join.release import REASONS, TOO_OLD, Refused, Released
from headrace.streams.join.state import (
    INPUTS,
    Arrived,
    Counts,
    Fate,
    Input,
    KeyState,
    Position,
    Snapshot,
    Waiting,
)

_CLOSE, _EXPIRE, _FORGET = range(3)
_RANK: Mapping[Fate, int] = {"parked": 0, "orphan": 0, "late": 0, "duplicate": 1, "applied": 2}


class PartitionJoin:
    """The join of one partition of a router.

    Parameters
    ----------
    router
        Its wait, and what it does with missing and repeated outcomes.
    snapshot
        State to continue from.
    """

    def __init__(self, router: RouterSpec, snapshot: Snapshot | None = None) -> None:
        snapshot = snapshot or Snapshot()
        self._router, self._wait_ms, position = router, router.wait_ms, snapshot.position
        self.next_offsets: dict[Input, int] = dict(
            position.next_offsets if position else dict.fromkeys(INPUTS, 0)
        )
        self.clocks: dict[Input, int | None] = dict(position.clocks if position else dict.fromkeys(INPUTS))
        self._marks = {name: PartitionClocks(position.marks[name] if position else None) for name in INPUTS}
        self.released_ms: int | None = position.released_ms if position else None
        self.counts = replace(position.counts) if position else Counts()
        self._keys: dict[str, KeyState] = dict(snapshot.keys)
        self._touched: set[str] = set(snapshot.torn)
        self._timers: list[tuple[int, int, str, str]] = []  # due_ms, what, id, key
        self._released = Released()
        for key, state in self._keys.items():
            for waiting in state.predictions.values():
                self._time_prediction(key, waiting)
            for arrived in state.outcomes.values():
                self._time_outcome(key, arrived)

    @property
    def clock_ms(self) -> int | None:
        """The lesser of the two input clocks; None until both inputs have been heard."""
        predictions, outcomes = self.clocks["predictions"], self.clocks["outcomes"]
        return None if predictions is None or outcomes is None else min(predictions, outcomes)

    def position(self) -> Position:
        """Where the partition stands now."""
        marks = {name: clocks.encode() for name, clocks in self._marks.items()}
        counts = replace(self.counts)
        return Position(dict(self.next_offsets), dict(self.clocks), self.released_ms, counts, marks)

    def take_released(self) -> Released:
        """What has come out since the last call."""
        released, self._released = self._released, Released()
        return released

    def take_touched(self) -> dict[str, KeyState | None]:
        """Keys changed since the last call; None where nothing is left."""
        touched, self._touched = sorted(self._touched), set()
        return {key: self._keys.get(key) for key in touched}

    def mark(self, source: Input, mark: Mark, offset: int) -> None:
        """Event time has advanced in what this input is made of."""
        self._read(source, offset, self._marks[source].advance(mark))

    def skip(self, source: Input, offset: int) -> None:
        """A record that could not be read."""
        self.counts.malformed += 1
        self._read(source, offset, None)

    def predict(self, prediction: Prediction, offset: int) -> None:
        """A prediction from its topic."""
        before = self.clocks["predictions"]
        if before is not None and before >= prediction.ts_ms + 2 * self._wait_ms:
            self.counts.prediction_late += 1
            self._refuse("predictions", offset, prediction, "late", TOO_OLD)
        else:
            self._accept_prediction(prediction, _later(before, prediction.ts_ms))
        self._read("predictions", offset, prediction.ts_ms)

    def outcome(self, outcome: Outcome, offset: int) -> None:
        """An outcome from its topic."""
        before = self.clocks["outcomes"]
        arrived = Arrived(outcome, offset, _later(before, outcome.ts_ms))
        self.counts.outcomes += 1
        if before is not None and before >= outcome.ts_ms + 2 * self._wait_ms:
            arrived.missed = True
            self._end(arrived)
        else:
            self._accept_outcome(arrived)
        self._read("outcomes", offset, outcome.ts_ms)

    def _accept_prediction(self, prediction: Prediction, seen_ms: int) -> None:
        state = self._keys.setdefault(prediction.key, KeyState())
        if prediction.prediction_id in state.predictions:
            self.counts.prediction_duplicates += 1
            return
        waiting = Waiting(prediction.prediction_id, prediction.ts_ms, seen_ms, prediction)
        state.predictions[waiting.prediction_id] = waiting
        self.counts.predictions += 1
        self.counts.pending += 1
        self._touched.add(prediction.key)
        self._time_prediction(prediction.key, waiting)
        for arrived in state.outcomes.values():
            self._miss(waiting, arrived)
        self._label(state, waiting)

    def _accept_outcome(self, arrived: Arrived) -> None:
        outcome = arrived.outcome
        state = self._keys.setdefault(outcome.key, KeyState())
        if outcome.outcome_id in state.outcomes:
            return self.counts.add("duplicate")
        state.outcomes[outcome.outcome_id] = arrived
        self.counts.parked += 1
        self._touched.add(outcome.key)
        self._time_outcome(outcome.key, arrived)
        for waiting in state.predictions.values():
            self._miss(waiting, arrived)
            if waiting.prediction is not None and self._belong(waiting, arrived):
                self._label(state, waiting)

    def _miss(self, waiting: Waiting, arrived: Arrived) -> None:
        """Note an outcome that came while its prediction, closed, was still remembered."""
        closed_ms = waiting.ts_ms + self._wait_ms
        after = closed_ms <= arrived.seen_ms < closed_ms + self._wait_ms
        arrived.missed |= after and waiting.seen_ms < arrived.outcome.ts_ms + self._wait_ms

    def _belong(self, waiting: Waiting, arrived: Arrived) -> bool:
        in_time = arrived.seen_ms < waiting.ts_ms + self._wait_ms
        return in_time and waiting.seen_ms < arrived.outcome.ts_ms + self._wait_ms

    def _label(self, state: KeyState, waiting: Waiting) -> tuple[float, int] | None:
        """The label of a prediction and its time, given out as an example if it is news."""
        found = [arrived for arrived in state.outcomes.values() if self._belong(waiting, arrived)]
        if not found:
            return None
        for place, arrived in enumerate(found):
            unused = place > 0 and self._router.duplicates == "first"
            self._settle(arrived, "duplicate" if unused else "applied")
        label, ts_ms = FOLDS[self._router.duplicates]([arrived.outcome for arrived in found])
        self._offer(waiting, label, ts_ms)
        return label, ts_ms

    def _settle(self, arrived: Arrived, fate: Fate) -> None:
        if _RANK[fate] > _RANK[arrived.fate]:
            self.counts.add(arrived.fate, -1)
            self.counts.add(fate)
            arrived.fate = fate

    def _offer(self, waiting: Waiting, label: float, ts_ms: int) -> None:
        assert waiting.prediction is not None
        if waiting.examples and waiting.label == label:
            return
        suffix = f"#{waiting.examples}" if waiting.examples else ""
        example = Example(
            example_id=waiting.prediction_id + suffix,
            prediction=waiting.prediction,
            label=label,
            label_ts_ms=ts_ms,
        )
        waiting.examples, waiting.label = waiting.examples + 1, label
        self.counts.examples += 1
        self._released.examples.append(example)

    def _read(self, source: Input, offset: int, time_ms: int | None) -> None:
        self.next_offsets[source] = offset + 1
        if time_ms is not None:
            self.clocks[source] = _later(self.clocks[source], time_ms)
        self._advance()

    def _advance(self) -> None:
        clock = self.clock_ms
        if clock is None:
            return
        while self._timers and self._timers[0][0] <= clock:
            due_ms, what, name, key = heapq.heappop(self._timers)
            state = self._keys.get(key)
            if state is None:  # forgotten with another record of the key
                continue
            self._touched.add(key)
            if what == _CLOSE:
                self._close(state, state.predictions[name], due_ms)
            elif what == _EXPIRE:
                self._expire(state.outcomes[name])
            else:
                self._forget(key, state, due_ms)
        self.released_ms = clock

    def _close(self, state: KeyState, waiting: Waiting, due_ms: int) -> None:
        prediction, label = waiting.prediction, self._label(state, waiting)
        assert prediction is not None
        status: Literal["matched", "negative", "censored"] = "matched" if label else "censored"
        if label is None and self._router.missing == "negative":
            status, label = "negative", (0.0, due_ms)
            self._offer(waiting, *label)
        self.counts.pending -= 1
        self.counts.add(status)
        value, ts_ms = label or (None, None)
        closing = Closing(prediction=prediction, status=status, label=value, label_ts_ms=ts_ms)
        self._released.closings.append(closing)
        waiting.prediction = None

    def _expire(self, arrived: Arrived) -> None:
        if arrived.fate == "parked":
            self.counts.parked -= 1
            self._end(arrived)

    def _end(self, arrived: Arrived) -> None:
        """An outcome that belongs to no prediction and never will."""
        arrived.fate = "late" if arrived.missed else "orphan"
        self.counts.add(arrived.fate)
        self._refuse("outcomes", arrived.offset, arrived.outcome, arrived.fate, REASONS[arrived.fate])

    def _refuse(
        self,
        source: Input,
        offset: int,
        record: Prediction | Outcome,
        kind: Literal["late", "orphan"],
        reason: str,
    ) -> None:
        self._released.refused.append(Refused(source, offset, record, kind, reason))

    def _forget(self, key: str, state: KeyState, due_ms: int) -> None:
        until = due_ms - 2 * self._wait_ms
        for name in [n for n, w in state.predictions.items() if w.ts_ms <= until]:
            del state.predictions[name]
        for name in [n for n, a in state.outcomes.items() if a.outcome.ts_ms <= until]:
            del state.outcomes[name]
        if not state:
            del self._keys[key]

    def _time_prediction(self, key: str, waiting: Waiting) -> None:
        ends_ms = waiting.ts_ms + self._wait_ms
        if waiting.prediction is not None:
            heapq.heappush(self._timers, (ends_ms, _CLOSE, waiting.prediction_id, key))
        heapq.heappush(self._timers, (ends_ms + self._wait_ms, _FORGET, "", key))

    def _time_outcome(self, key: str, arrived: Arrived) -> None:
        ends_ms = arrived.outcome.ts_ms + self._wait_ms
        if arrived.fate == "parked":
            heapq.heappush(self._timers, (ends_ms, _EXPIRE, arrived.outcome.outcome_id, key))
        heapq.heappush(self._timers, (ends_ms + self._wait_ms, _FORGET, "", key))


def _later(clock: int | None, time_ms: int) -> int:
    return time_ms if clock is None else max(clock, time_ms)
