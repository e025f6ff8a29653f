"""The order of examples is a function of the logs: whichever input is read first, in whatever portions, and
after whatever restarts. Compared with an order that is found by sorting, and with the join's slow oracle."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.marks import mark_headers
from headrace.schemas.order_marks import order_headers
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.changelog import read_changelog
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.rebuild import InputRecord, fold_inputs
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.join.wire_format import JoinedClosing, JoinedExample
from headrace.streams.log.records import LogRecord
from tests.support.join_builders import Records, a_prediction, a_router, an_outcome, checkpoint
from tests.support.join_oracle import M, O, Oracle, P
from tests.support.order_oracle import Order, in_one_order
from tests.support.properties import tries

Event = P | O | M | Order
Logs = dict[Input, list[Event]]
WAIT, END = 10, 200
KEYS, TIMES = st.sampled_from("abc"), st.integers(0, 60)
LABELS = st.sampled_from([0.0, 1.0, 2.0, 3.0])
POLICIES = pytest.mark.parametrize("duplicates", ["first", "last", "sum", "max"])


@st.composite
def both_logs(draw: st.DrawFn) -> Logs:
    """Predictions and outcomes with times that go back and forth, copies, marks and order marks."""
    asked = draw(st.lists(st.tuples(KEYS, TIMES), max_size=10))
    told = draw(st.lists(st.tuples(KEYS, TIMES, LABELS), max_size=10))
    logs: Logs = {
        "predictions": [P(f"p{n}", key, ts) for n, (key, ts) in enumerate(asked)],
        "outcomes": [O(f"o{n}", key, ts, label) for n, (key, ts, label) in enumerate(told)],
    }
    for source, log in logs.items():
        if draw(st.booleans()):
            log.sort(key=lambda event: event.ts)
        for event in draw(st.lists(st.sampled_from(log), max_size=2)) if log else []:
            log.append(deepcopy(event))
        marks = draw(st.lists(st.tuples(st.sampled_from([M, Order]), TIMES), max_size=4))
        for kind, ts in marks:
            log.insert(draw(st.integers(0, len(log))), kind(source, ts))
        log += [M(source, END), Order(source, END + 1)]
    return logs


def record(offset: int, event: Event) -> LogRecord:
    if isinstance(event, M | Order):
        headers = mark_headers(event.ts) if isinstance(event, M) else order_headers(event.ts)
        return LogRecord(offset, END, None, None, headers)
    if isinstance(event, P):
        value = a_prediction(event.id, event.key, event.ts).to_bytes()
    else:
        value = an_outcome(event.id, event.key, event.ts, event.label).to_bytes()
    return LogRecord(offset, END, event.key.encode(), value)


class Run:
    """A join that reads the logs in some way; what it commits is there, and what it does not is lost."""

    def __init__(self, spec: RouterSpec, logs: Logs, config: JoinConfig) -> None:
        self._spec, self._logs, self._config = spec, logs, config
        self.examples: list[JoinedExample] = []
        self.closings: list[JoinedClosing] = []
        self.rejected: list[tuple[str, str, int]] = []
        self._changelog: Records = []
        self.start()

    def start(self) -> None:
        self.join = PartitionJoin(self._spec, read_changelog(self._changelog), self._config)
        self._inputs = PartitionInputs(self.join, RouterTopics("shop", "delays"), 0, 1_000)

    def left(self, source: Input) -> int:
        return len(self._logs[source]) - self._inputs.next_offset(source)

    def read(self, source: Input, count: int) -> None:
        for _ in range(count):
            offset = self._inputs.next_offset(source)
            self._inputs.read(source, record(offset, self._logs[source][offset]), END)
        assert self._inputs.process() == []

    def commit(self) -> None:
        released = self.join.take_released()
        self.examples += released.examples
        self.closings += released.closings
        self.rejected += [(one.kind, one.input, one.offset) for one in released.rejected]
        self._changelog += checkpoint(self.join)

    def finish(self) -> None:
        for source in INPUTS:
            self.read(source, self.left(source))
        self.commit()

    def rows(self) -> tuple[list[object], ...]:
        examples = [(one.example_id, one.label, one.label_ts_ms) for one in self.examples]
        closings = [
            (one.prediction.prediction_id, one.status, one.label, one.label_ts_ms) for one in self.closings
        ]
        return examples, closings, self.rejected, [self.join.counts]


def expected(logs: Logs, duplicates: str, per_key: int) -> Oracle:
    oracle = Oracle(WAIT, "negative", duplicates, per_key)
    for event in in_one_order(logs["predictions"], logs["outcomes"]):
        if not isinstance(event, Order):
            oracle.step(deepcopy(event))
    return oracle


def read_at_random(run: Run, chance: random.Random) -> None:
    """Portions of any size of either input, commits and crashes at any moment."""
    crashes = 0
    while left := [source for source in INPUTS if run.left(source)]:
        source = chance.choice(left)
        run.read(source, chance.randint(1, run.left(source)) if chance.random() < 0.2 else 1)
        if chance.random() < 0.3:
            run.commit()
        elif crashes < 6 and chance.random() < 0.2:
            crashes += 1
            run.join.take_released()
            run.start()


@POLICIES
@given(both_logs(), st.integers(0, 10_000), st.sampled_from([1, 2, 1_000]))
@tries(150)
def test_examples_and_closings_stand_in_the_order_of_the_logs(
    duplicates: str, logs: Logs, seed: int, per_key: int
) -> None:
    spec = a_router(WAIT, missing="negative", duplicates=duplicates)
    run = Run(spec, logs, JoinConfig(per_key=per_key))
    read_at_random(run, random.Random(seed))
    run.finish()
    oracle, (examples, closings, *_) = expected(logs, duplicates, per_key), run.rows()
    assert examples == oracle.examples
    assert closings == oracle.closings
    found = {name: getattr(run.join.counts, name) for name in oracle.counts()}
    assert found == oracle.counts()


@POLICIES
@given(both_logs(), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 3))
@tries(100)
def test_two_readings_of_the_same_logs_give_out_the_same(
    duplicates: str, logs: Logs, one: int, other: int, parked: int
) -> None:
    """Also where a quota turns outcomes away."""
    spec, config = a_router(WAIT, duplicates=duplicates), JoinConfig(parked=parked, per_key=2)
    runs = [Run(spec, logs, config) for _ in range(4)]
    for run, seed in zip(runs, (one, other), strict=False):
        read_at_random(run, random.Random(seed))
    for run, first in zip(runs[2:], INPUTS, strict=True):  # all of one input before the other
        run.read(first, run.left(first))
    for run in runs:
        run.finish()
    assert all(run.rows() == runs[0].rows() for run in runs[1:])


@POLICIES
@given(both_logs(), st.integers(0, 10_000))
@tries(100)
def test_a_join_that_is_rebuilt_from_its_inputs_is_where_it_was(
    duplicates: str, logs: Logs, seed: int
) -> None:
    chance, spec = random.Random(seed), a_router(WAIT, duplicates=duplicates)
    run = Run(spec, logs, JoinConfig())
    for _ in range(chance.randint(0, 12)):
        if left := [source for source in INPUTS if run.left(source)]:
            run.read(chance.choice(left), 1)
    read = run.join.next_offsets
    inputs = {
        source: (InputRecord(record(n, event), END) for n, event in enumerate(logs[source][: read[source]]))
        for source in INPUTS
    }
    built = fold_inputs(PartitionJoin(spec), inputs, RouterTopics("shop", "delays"), 0, 1_000)
    assert (built.position(), built.keys) == (run.join.position(), run.join.keys)
