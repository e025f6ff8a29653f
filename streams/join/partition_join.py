"""The log-and-wait join of one partition: predictions and outcomes in, examples and closings out.

Pure logic, no I/O. With ``wait`` the router's wait, and for each input a clock (greatest event time of any
record or mark seen in it), prediction ``P`` and outcome ``o`` of one key belong together when

    outcomes clock at o < P.ts + wait    and    predictions clock at P < o.ts + wait,

each clock taken at arrival, the record itself included. That depends on each input alone. In which order the
records of both are processed, and with it the order of examples, follows from `headrace.streams.join.merge`.

The clock of the partition is the lesser of the two. A prediction closes when it reaches ``P.ts + wait``; an
outcome that belonged to nothing by ``o.ts + wait`` is late if it came after the closing of a prediction of
its key, else orphan. Both are remembered until ``ts + 2 * wait``, when nothing that belongs to them can come
any more; what comes later than that by the clock of its own input is late at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from headrace.schemas.marks import Mark, PartitionClocks
from headrace.schemas.records import Outcome, Prediction
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.key_quota import KeyQuota
from headrace.streams.join.labels import Label, label_of
from headrace.streams.join.outputs import OVER_QUOTA, REASONS, TOO_OLD, Rejected, RejectedKind, Released
from headrace.streams.join.state import (
    INPUTS,
    Counts,
    Input,
    KeyState,
    OutcomeState,
    OutcomeStatus,
    Position,
    PredictionState,
    Snapshot,
)
from headrace.streams.join.timers import CLOSE, EXPIRE, Timers
from headrace.streams.join.wire_format import JoinedClosing, JoinedExample, prediction_json

_RANK: Mapping[OutcomeStatus, int] = {"parked": 0, "orphan": 0, "late": 0, "duplicate": 1, "applied": 2}


class PartitionJoin:
    """The join of one partition of a router.

    Parameters
    ----------
    router
        Its wait, and what it does with missing and repeated outcomes.
    snapshot
        State to continue from.
    config
        How many outcomes may wait for a prediction, and how much of one key is held.

    Attributes
    ----------
    order
        Order clock of each input as far as it was processed (see `headrace.streams.join.merge`).
    topic_ids
        The ids of the topics that the positions are of.
    """

    def __init__(
        self, router: RouterSpec, snapshot: Snapshot | None = None, config: JoinConfig | None = None
    ) -> None:
        snapshot, config = snapshot or Snapshot(), config or JoinConfig()
        self._parked, self._quota = config.parked, KeyQuota(config.per_key)
        self._over_parked = OVER_QUOTA.format(config.parked)
        self._router, self._wait_ms, position = router, router.wait_ms, snapshot.position
        self.next_offsets: dict[Input, int] = dict(
            position.next_offsets if position else dict.fromkeys(INPUTS, 0)
        )
        self.clocks: dict[Input, int | None] = dict(position.clocks if position else dict.fromkeys(INPUTS))
        self._marks = {name: PartitionClocks(position.marks[name] if position else None) for name in INPUTS}
        self.order: dict[Input, int | None] = dict(position.order if position else dict.fromkeys(INPUTS))
        self.released_ms: int | None = position.released_ms if position else None
        self.topic_ids: Mapping[Input, str] = position.topic_ids if position else {}
        self.counts = replace(position.counts) if position else Counts()
        self._keys: dict[str, KeyState] = dict(snapshot.keys)
        self._touched: set[str] = set(snapshot.torn)
        self._timers = Timers(router.wait_ms)
        self._released = Released()
        for key, state in self._keys.items():
            for waiting in state.predictions.values():
                self._timers.add_prediction(key, waiting)
            for arrived in state.outcomes.values():
                self._timers.add_outcome(key, arrived)

    @property
    def clock_ms(self) -> int | None:
        """The lesser of the two input clocks; None until a record of each has come."""
        predictions, outcomes = self.clocks["predictions"], self.clocks["outcomes"]
        return None if predictions is None or outcomes is None else min(predictions, outcomes)

    @property
    def keys(self) -> Mapping[str, KeyState]:
        """The state of every key."""
        return self._keys

    @property
    def next_due_ms(self) -> int | None:
        """When the clock next ends something, epoch milliseconds; None when nothing waits for it."""
        return self._timers.next_due_ms

    @property
    def quotas(self) -> frozenset[str]:
        """The reasons for which records are turned away that are no fault of theirs."""
        return frozenset((self._over_parked, self._quota.reason))

    @property
    def has_text_labels(self) -> bool:
        """Whether labels are texts, which they are of a category."""
        return self._router.domain.kind == "category"

    def is_made_of_partitions(self, source: Input) -> bool:
        """Whether an input follows from the partitions of another topic, each of which has marks."""
        return source == "outcomes" and self._router.outcome is not None

    def position(self) -> Position:
        """Return how far the partition is."""
        marks = {name: clocks.encode() for name, clocks in self._marks.items()}
        counts = replace(self.counts)
        return Position(
            dict(self.next_offsets),
            dict(self.clocks),
            self.released_ms,
            counts,
            marks,
            dict(self.order),
            topic_ids=self.topic_ids,
        )

    def take_released(self) -> Released:
        """Return the outputs since the last call."""
        released, self._released = self._released, Released()
        return released

    def take_touched(self) -> dict[str, KeyState | None]:
        """Return the keys changed since the last call; None where nothing is left."""
        touched, self._touched = sorted(self._touched), set()
        return {key: self._keys.get(key) for key in touched}

    def mark(self, source: Input, mark: Mark, offset: int) -> None:
        """Event time has advanced in what this input is made of."""
        self._read(source, offset, self._marks[source].advance(mark))

    def pass_over(self, source: Input, offset: int) -> None:
        """Pass over a record that is of no meaning to the join itself."""
        self._read(source, offset, None)

    def skip(self, source: Input, offset: int) -> None:
        """Pass over a record that could not be read."""
        self.counts.malformed += 1
        self._read(source, offset, None)

    def predict(self, prediction: Prediction, offset: int) -> None:
        """Process a prediction from its topic."""
        before = self.clocks["predictions"]
        if before is not None and before >= prediction.ts_ms + 2 * self._wait_ms:
            self.counts.prediction_late += 1
            self._reject("predictions", offset, prediction, "late", TOO_OLD)
        else:
            self._accept_prediction(prediction, offset, _later(before, prediction.ts_ms))
        self._read("predictions", offset, prediction.ts_ms)

    def outcome(self, outcome: Outcome, offset: int) -> None:
        """Process an outcome from its topic."""
        before = self.clocks["outcomes"]
        arrived = OutcomeState(outcome, offset, _later(before, outcome.ts_ms))
        self.counts.outcomes += 1
        if before is not None and before >= outcome.ts_ms + 2 * self._wait_ms:
            arrived.after_closing = True
            self._end(arrived)
        else:
            self._accept_outcome(arrived)
        self._read("outcomes", offset, outcome.ts_ms)

    def _accept_prediction(self, prediction: Prediction, offset: int, arrival_clock_ms: int) -> None:
        state = self._keys.get(prediction.key) or KeyState()
        if prediction.prediction_id in state.predictions:
            self.counts.prediction_duplicates += 1
            return
        raw = prediction_json(prediction)
        waiting = PredictionState(prediction.prediction_id, prediction.ts_ms, arrival_clock_ms, raw)
        if not self._quota.takes_prediction(state, waiting):
            self.counts.prediction_over_quota += 1
            return self._reject("predictions", offset, prediction, "over_quota", self._quota.reason)
        self._keys[prediction.key] = state
        state.predictions[waiting.prediction_id] = waiting
        self.counts.predictions += 1
        self.counts.pending += 1
        self._touched.add(prediction.key)
        self._timers.add_prediction(prediction.key, waiting)
        for arrived in state.outcomes.values():
            self._miss(waiting, arrived)
        self._label(prediction.key, state, waiting)

    def _accept_outcome(self, arrived: OutcomeState) -> None:
        outcome = arrived.outcome
        state = self._keys.get(outcome.key) or KeyState()
        if outcome.outcome_id in state.outcomes:
            return self.counts.add("duplicate")
        if self.counts.parked >= self._parked and not self._is_awaited(state, arrived):
            self.counts.over_quota += 1
            return self._reject("outcomes", arrived.offset, outcome, "orphan", self._over_parked)
        if not self._quota.takes_outcome(state, arrived):
            self.counts.over_quota += 1
            kind: RejectedKind = "over_quota" if state.predictions else "orphan"
            return self._reject("outcomes", arrived.offset, outcome, kind, self._quota.reason)
        self._keys[outcome.key] = state
        state.outcomes[outcome.outcome_id] = arrived
        self.counts.parked += 1
        self._touched.add(outcome.key)
        self._timers.add_outcome(outcome.key, arrived)
        for waiting in state.predictions.values():
            self._miss(waiting, arrived)
            if self._awaits(waiting, arrived):
                self._label(outcome.key, state, waiting)

    def _is_awaited(self, state: KeyState, arrived: OutcomeState) -> bool:
        """Whether an outcome leaves the parked ones at once."""
        return any(self._awaits(waiting, arrived) for waiting in state.predictions.values())

    def _awaits(self, waiting: PredictionState, arrived: OutcomeState) -> bool:
        return waiting.prediction is not None and self._belong(waiting, arrived)

    def _miss(self, waiting: PredictionState, arrived: OutcomeState) -> None:
        """Note an outcome that came while its prediction, closed, was still remembered."""
        closed_ms = waiting.ts_ms + self._wait_ms
        after = closed_ms <= arrived.arrival_clock_ms < closed_ms + self._wait_ms
        arrived.after_closing |= after and waiting.arrival_clock_ms < arrived.outcome.ts_ms + self._wait_ms

    def _belong(self, waiting: PredictionState, arrived: OutcomeState) -> bool:
        in_time = arrived.arrival_clock_ms < waiting.ts_ms + self._wait_ms
        return in_time and waiting.arrival_clock_ms < arrived.outcome.ts_ms + self._wait_ms

    def _label(self, key: str, state: KeyState, waiting: PredictionState) -> tuple[Label, int] | None:
        """Label of a prediction and its time; given out as an example if it is another than before."""
        outcomes = [arrived for arrived in state.outcomes.values() if self._belong(waiting, arrived)]
        if not outcomes:
            return None
        for place, arrived in enumerate(outcomes):
            unused = place > 0 and self._router.duplicates == "first"
            self._settle(arrived, "duplicate" if unused else "applied")
        label, ts_ms = label_of([arrived.outcome for arrived in outcomes], self._router.duplicates)
        self._offer(key, waiting, label, ts_ms)
        return label, ts_ms

    def _settle(self, arrived: OutcomeState, status: OutcomeStatus) -> None:
        if _RANK[status] > _RANK[arrived.status]:
            self.counts.add(arrived.status, -1)
            self.counts.add(status)
            arrived.status = status

    def _offer(self, key: str, waiting: PredictionState, label: Label, ts_ms: int) -> None:
        assert waiting.prediction is not None
        if waiting.examples and waiting.label == label:
            return
        suffix = f"#{waiting.examples}" if waiting.examples else ""
        example_id = waiting.prediction_id + suffix
        waiting.examples, waiting.label = waiting.examples + 1, label
        self.counts.examples += 1
        # Of parts that were checked; a sum of labels is, where it is read.
        self._released.examples.append(JoinedExample(key, waiting.prediction, example_id, label, ts_ms))

    def _read(self, source: Input, offset: int, time_ms: int | None) -> None:
        self.next_offsets[source] = offset + 1
        if time_ms is not None:
            self.clocks[source] = _later(self.clocks[source], time_ms)
        self._advance()

    def _advance(self) -> None:
        clock = self.clock_ms
        if clock is None:
            return
        while (timer := self._timers.pop_due(clock)) is not None:
            due_ms, action, name, key = timer
            state = self._keys.get(key)
            if state is None:  # forgotten with another record of the key
                continue
            self._touched.add(key)
            if action == CLOSE:
                self._close(key, state, state.predictions[name], due_ms)
            elif action == EXPIRE:
                self._expire(state.outcomes[name])
            else:
                self._forget(key, state, due_ms)
        self.released_ms = clock

    def _close(self, key: str, state: KeyState, waiting: PredictionState, due_ms: int) -> None:
        prediction, label = waiting.prediction, self._label(key, state, waiting)
        assert prediction is not None
        status: Literal["matched", "negative", "censored"] = "matched" if label else "censored"
        if label is None and self._router.missing == "negative":
            status, label = "negative", (0.0, due_ms)
            self._offer(key, waiting, *label)
        self.counts.pending -= 1
        self.counts.add(status)
        value, ts_ms = label or (None, None)
        self._released.closings.append(JoinedClosing(key, prediction, status, value, ts_ms))
        waiting.prediction = state.prediction_bytes = None
        self._timers.closed(key, due_ms)

    def _expire(self, arrived: OutcomeState) -> None:
        if arrived.status == "parked":
            self.counts.parked -= 1
            self._end(arrived)

    def _end(self, arrived: OutcomeState) -> None:
        """Reject an outcome that belongs to no prediction and never will."""
        arrived.status = "late" if arrived.after_closing else "orphan"
        self.counts.add(arrived.status)
        self._reject("outcomes", arrived.offset, arrived.outcome, arrived.status, REASONS[arrived.status])

    def _reject(
        self,
        source: Input,
        offset: int,
        record: Prediction | Outcome,
        kind: RejectedKind,
        reason: str,
    ) -> None:
        self._released.rejected.append(Rejected(source, offset, record, kind, reason))

    def _forget(self, key: str, state: KeyState, due_ms: int) -> None:
        until_ms = due_ms - 2 * self._wait_ms
        for name in [n for n, waiting in state.predictions.items() if waiting.ts_ms <= until_ms]:
            del state.predictions[name]
        for name in [n for n, arrived in state.outcomes.items() if arrived.outcome.ts_ms <= until_ms]:
            del state.outcomes[name]
        state.prediction_bytes = state.outcome_bytes = None
        if not state:
            del self._keys[key]


def _later(clock: int | None, time_ms: int) -> int:
    return time_ms if clock is None else max(clock, time_ms)
