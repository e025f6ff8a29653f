"""A restore needs the memory of the state, however long its changelog is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from headrace.schemas.plan import Plan
from headrace.streams.columnar.keys import encode_key
from headrace.streams.log.records import LogRecords
from headrace.streams.state.partition import Entry
from headrace.streams.state.source_partition import SourcePartition
from tests.support.one_user import a_log, a_plan

CHECKPOINTS, KEYS = 40, 1_000


def state_of(plan: Plan) -> SourcePartition:
    return SourcePartition(plan, plan.sources[0], 0)


def changelog(plan: Plan) -> Iterator[Entry]:
    """Checkpoints that rewrite every key, made as they are read, as from a log; at last a key is deleted."""
    state = state_of(plan)
    state.process(LogRecords.of(a_log()))
    (key, value), *rest = state.snapshot()
    one = encode_key((7,))
    assert key.endswith(one)
    for _ in range(CHECKPOINTS):
        for number in range(KEYS):
            # A copy, as every record that is read from a log is one.
            yield key.removesuffix(one) + encode_key((number,)), bytes(bytearray(value or b""))
        yield from rest
    yield key.removesuffix(one) + encode_key((0,)), None


def test_a_restore_needs_at_most_half_more_than_the_state_whatever_the_length_of_the_changelog() -> None:
    plan = a_plan()
    state = state_of(plan)
    tracemalloc.start()
    try:
        state.restore(changelog(plan))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert state.key_count == KEYS - 1
    portion = 12 << 20  # what is taken up at once, as records and as arrays: it does not grow with the state
    assert peak <= 1.5 * held + portion, (held, peak)


def test_a_later_state_replaces_an_earlier_one_and_a_deleted_key_is_gone() -> None:
    plan = a_plan()
    entries = list(changelog(plan))
    folded, latest = state_of(plan), state_of(plan)
    folded.restore(entries)
    latest.restore(dict(entries).items())
    assert folded.key_count == latest.key_count == KEYS - 1
    for state in (folded, latest):
        for group in state.groups.values():
            group.move(0)  # all of it is written again
    assert dict(folded.snapshot()) == dict(latest.snapshot())
