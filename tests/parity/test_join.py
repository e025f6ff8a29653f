"""The join against its oracle: any log, any interleaving, restarts anywhere, with its changelog or not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.marks import Mark, mark_headers
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.changelog import (
    POSITION_KEY,
    changelog_key,
    encode_key,
    encode_position,
    read_changelog,
)
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.rebuild import InputRecord, fold_inputs, take_examples
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.join.wire_format import JoinedClosing, JoinedExample
from headrace.streams.log.records import LogRecord
from tests.support.join_builders import a_prediction, a_router, an_outcome
from tests.support.join_oracle import M, O, Oracle, P
from tests.support.properties import tries

Event = P | O | M
WAIT = 10
KEYS = st.sampled_from("abc")
TIMES = st.integers(0, 60)
LABELS = st.sampled_from([0.0, 1.0, 2.0, 3.0])


@st.composite
def predictions_logs(draw: st.DrawFn) -> list[Event]:
    rows = draw(st.lists(st.tuples(KEYS, TIMES), max_size=12))
    log: list[Event] = [P(f"p{n}", key, ts) for n, (key, ts) in enumerate(rows)]
    return _with_copies_and_marks(draw, log, "predictions")


@st.composite
def outcomes_logs(draw: st.DrawFn) -> list[Event]:
    rows = draw(st.lists(st.tuples(KEYS, TIMES, LABELS), max_size=12))
    log: list[Event] = [O(f"o{n}", key, ts, label) for n, (key, ts, label) in enumerate(rows)]
    return _with_copies_and_marks(draw, log, "outcomes")


def _with_copies_and_marks(draw: st.DrawFn, log: list[Event], source: str) -> list[Event]:
    if draw(st.booleans()):  # nearly in order, as logs are
        log.sort(key=lambda event: event.ts)
    for event in draw(st.lists(st.sampled_from(log), max_size=3)) if log else []:
        log.insert(draw(st.integers(log.index(event) + 1, len(log))), deepcopy(event))
    for ts in draw(st.lists(TIMES, max_size=4)):
        log.insert(draw(st.integers(0, len(log))), M(source, ts))
    return log


def interleaved(
    predictions: Sequence[Event], outcomes: Sequence[Event], seed: int
) -> list[tuple[Event, int]]:
    """Both logs in their own orders, each event with its offset, taken from a log at random."""
    chance, logs = random.Random(seed), [list(enumerate(predictions)), list(enumerate(outcomes))]
    mixed = []
    while any(logs):
        offset, event = chance.choice([log for log in logs if log]).pop(0)
        mixed.append((deepcopy(event), offset))
    return mixed


def router(missing: str, duplicates: str) -> RouterSpec:
    return a_router(WAIT, missing=missing, duplicates=duplicates)


def feed(join: PartitionJoin, event: Event, offset: int) -> None:
    if isinstance(event, P):
        join.predict(a_prediction(event.id, event.key, event.ts), offset)
    elif isinstance(event, O):
        join.outcome(an_outcome(event.id, event.key, event.ts, event.label), offset)
    else:
        join.mark("predictions" if event.source == "predictions" else "outcomes", Mark(event.ts), offset)


def input_record(offset: int, event: Event) -> InputRecord:
    """The event as its topic has it."""
    if isinstance(event, M):
        return InputRecord(LogRecord(offset, 0, None, None, mark_headers(event.ts)), 0)
    value = (
        a_prediction(event.id, event.key, event.ts)
        if isinstance(event, P)
        else an_outcome(event.id, event.key, event.ts, event.label)
    ).to_bytes()
    return InputRecord(LogRecord(offset, 0, event.key.encode(), value), 0)


def example_row(example: JoinedExample) -> tuple[str, float, int]:
    return example.example_id, example.label, example.label_ts_ms


def closing_row(closing: JoinedClosing) -> tuple[str, str, float | None, int | None]:
    return closing.prediction.prediction_id, closing.status, closing.label, closing.label_ts_ms


def counts(join: PartitionJoin) -> dict[str, int]:
    return {name: value for name, value in asdict(join.counts).items() if name != "malformed"}


POLICIES = pytest.mark.parametrize("duplicates", ["first", "last", "sum", "max"])
MISSING = pytest.mark.parametrize("missing", ["drop", "negative"])


@POLICIES
@MISSING
@given(predictions_logs(), outcomes_logs(), st.integers(0, 1000), st.sampled_from([1, 2, 1000]))
@tries(150)
def test_every_output_and_count_equals_the_oracle(
    missing: str, duplicates: str, predictions: list[Event], outcomes: list[Event], seed: int, per_key: int
) -> None:
    join = PartitionJoin(router(missing, duplicates), config=JoinConfig(per_key=per_key))
    oracle = Oracle(WAIT, missing, duplicates, per_key)
    for event, offset in interleaved(predictions, outcomes, seed):
        feed(join, event, offset)
        oracle.step(event)
    released = join.take_released()
    assert [example_row(e) for e in released.examples] == oracle.examples
    assert [closing_row(c) for c in released.closings] == oracle.closings
    assert sorted(r.kind for r in released.rejected) == sorted(kind for kind, _ in oracle.refused)
    assert counts(join) == oracle.counts()


@POLICIES
@given(predictions_logs(), outcomes_logs(), st.integers(0, 1000), st.integers(0, 1000))
@tries(100)
def test_closings_and_counts_do_not_depend_on_how_the_inputs_interleave(
    duplicates: str, predictions: list[Event], outcomes: list[Event], one: int, other: int
) -> None:
    ends: list[Event] = [M("predictions", 200), M("outcomes", 200)]
    seen = []
    for seed in (one, other):
        join = PartitionJoin(router("drop", duplicates))
        for event, offset in interleaved([*predictions, ends[0]], [*outcomes, ends[1]], seed):
            feed(join, event, offset)
        closings = sorted(map(closing_row, join.take_released().closings), key=lambda row: row[0])
        seen.append((closings, {**counts(join), "examples": 0}))
    assert seen[0] == seen[1]


class Log:
    """The outputs and the changelog of a join that is killed now and then."""

    def __init__(self) -> None:
        self.examples: list[JoinedExample] = []
        self.closings: list[JoinedClosing] = []
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.read: dict[Input, int] = dict.fromkeys(INPUTS, 0)

    def commit(self, join: PartitionJoin) -> None:
        """One transaction: it is there whole, or not at all."""
        released = join.take_released()
        self.examples += released.examples
        self.closings += released.closings
        states = [
            (changelog_key(key), state and encode_key(state)) for key, state in join.take_touched().items()
        ]
        self.changelog += [*states, (POSITION_KEY, encode_position(join.position()))]

        self.read = dict(join.next_offsets)

    def restore(self, spec: RouterSpec) -> PartitionJoin:
        return PartitionJoin(spec, read_changelog(self.changelog))

    def rebuild(self, spec: RouterSpec, logs: dict[Input, list[Event]]) -> PartitionJoin:
        """As the last commit left it, without the changelog."""
        inputs = {name: map(input_record, range(self.read[name]), logs[name]) for name in INPUTS}
        join = fold_inputs(PartitionJoin(spec), inputs, RouterTopics("shop", spec.name), 0, 1000)
        take_examples(join, ((e.prediction.key.encode(), e.to_bytes()) for e in self.examples))
        return join


@POLICIES
@MISSING
@given(predictions_logs(), outcomes_logs(), st.integers(0, 10_000))
@tries(150)
def test_a_join_killed_at_any_moment_neither_loses_nor_doubles(
    missing: str, duplicates: str, predictions: list[Event], outcomes: list[Event], seed: int
) -> None:
    chance, spec = random.Random(seed), router(missing, duplicates)
    oracle, log = Oracle(WAIT, missing, duplicates), Log()
    for event, _ in interleaved(predictions, outcomes, seed):
        oracle.step(event)
    logs: dict[Input, list[Event]] = {"predictions": predictions, "outcomes": outcomes}
    join, crashes = log.restore(spec), 0
    while behind := [name for name in INPUTS if join.next_offsets[name] < len(logs[name])]:
        source = chance.choice(behind)
        offset = join.next_offsets[source]
        feed(join, deepcopy(logs[source][offset]), offset)
        if chance.random() < 0.3:
            log.commit(join)
        elif crashes < 8 and chance.random() < 0.3:
            crashes += 1
            join = log.restore(spec) if chance.random() < 0.5 else log.rebuild(spec, logs)
    log.commit(join)
    _equal_but_for_corrections(log, oracle, duplicates)
    expected, found = oracle.counts(), counts(join)
    assert found.pop("examples") == len(log.examples)
    assert found == {name: expected[name] for name in found}


def _equal_but_for_corrections(log: Log, oracle: Oracle, duplicates: str) -> None:
    """Which labels come between the first and the last depends on the interleaving, and so on crashes."""
    closings = [closing_row(closing) for closing in log.closings]
    assert sorted(closings, key=str) == sorted(oracle.closings, key=str)
    examples = log.examples
    if duplicates == "first":
        assert sorted(map(example_row, examples)) == sorted(oracle.examples)
    labels: dict[str, list[float]] = {}
    for example in examples:
        mine = labels.setdefault(example.prediction.prediction_id, [])
        assert example.example_id == example.prediction.prediction_id + (f"#{len(mine)}" if mine else "")
        assert not mine or mine[-1] != example.label
        mine.append(example.label)
    assert {name: mine[-1] for name, mine in labels.items()} == {p.id: p.out[-1] for p in oracle.ps if p.out}
