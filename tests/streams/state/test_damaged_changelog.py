"""A worker's changelog with entries that it did not write: taken up, or refused by name."""

from __future__ import annotations

from random import Random

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import StateError
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import RawEntry
from headrace.streams.state.source_partition import SourcePartition
from tests.support.fuzz import NOW_MS
from tests.support.purchases import EVENT_SCHEMA, purchases_plan

PLAN = purchases_plan(shards=1, ever=("by_user",))


def partition() -> SourcePartition:
    return SourcePartition(PLAN, PLAN.sources[0], 0)


def take(one: SourcePartition, count: int) -> None:
    first = one.next_offset
    fields = [
        {"user": n % 3, "shop": "s", "amount": n * 0.5, "items": n, "note": "", "event_ms": NOW_MS + n}
        for n in range(count)
    ]
    values = [encode_confluent(EVENT_SCHEMA, 7, each) for each in fields]
    records = [LogRecord(first + n, NOW_MS + 60_000, None, value) for n, value in enumerate(values)]
    one.process(LogRecords.of(records))


def changelog() -> list[RawEntry]:
    one = partition()
    take(one, 40)
    return list(one.snapshot())


def go_on(one: SourcePartition) -> None:
    list(one.emit_all())
    take(one, 5)
    one.pass_time(1_000)
    one.snapshot()


@pytest.mark.parametrize(("seed", "rounds"), [(1, 50), pytest.param(2, 5_000, marks=pytest.mark.faults)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_is_in_a_changelog_the_state_goes_on_or_is_refused_by_name(seed: int, rounds: int) -> None:
    chance, entries, refused = Random(seed), changelog(), 0
    for _ in range(rounds):
        changed = list(entries)
        at = chance.randrange(len(changed))
        key, value = changed[at]
        assert key is not None
        assert value is not None
        changed[at] = chance.choice(
            [(key, damaged(value, chance))] * 4 + [(damaged(key, chance), value), (None, value), (key, None)]
        )
        refused += said(changed) is not None
    assert refused > rounds / 10


def said(entries: list[RawEntry]) -> str | None:
    """Return the error of going on from a changelog; None without one."""
    one = partition()
    try:
        one.restore(entries)
        go_on(one)
    except StateError as error:
        return str(error)
    return None


def damaged(raw: bytes, chance: Random) -> bytes:
    at, how = chance.randrange(len(raw)), chance.randrange(4)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]
    if how == 2:
        return raw[:at] + chance.randbytes(8) + raw[at:]
    return raw[:at] + b"\xff" * len(raw[at : at + 8]) + raw[at + 8 :]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_entry_whose_tiles_hold_what_no_aggregation_wrote_is_told_of_by_name() -> None:
    """Found when a key is computed: the layout of its bytes fits."""
    entries = changelog()
    key, value = entries[0]
    assert value is not None
    places = range(len(value) - 8, 0, -4)  # buckets of percentiles come last
    found = (said([(key, value[:at] + b"\xff" * 8 + value[at + 8 :]), *entries[1:]]) for at in places)
    error = next(filter(None, found))
    assert error.startswith("the state of shop.purchases[0] at offset 40 cannot be computed with: ")
    assert "`headrace reset` begins the state of a source anew" in error
