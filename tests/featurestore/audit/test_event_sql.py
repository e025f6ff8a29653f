"""Which records of a raw log SQL takes for events, marks and dead ones, and which events it accepts."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from headrace.featurestore.audit.event_sql import accepted_events
from headrace.schemas.feature_specs import ExpectationSpec
from tests.support.audit_scene import audited_plan

PLAN = audited_plan(late_tiles=2, max_future_ms=1000)  # tiles of 10 ms
TYPES = {
    "part": pa.int64(), "pos": pa.int64(), "appended": pa.int64(), "mark": pa.int64(), "broken": pa.bool_(),
    "event_ms": pa.int64(), "f_user": pa.int64(), "f_shop": pa.string(), "f_amount": pa.float64(),
    "f_items": pa.int64(),
}  # fmt: skip
EVENT = {
    "part": 0, "appended": 1000, "mark": None, "broken": False, "event_ms": 1000, "f_user": 1, "f_shop": "a",
    "f_amount": 1.0, "f_items": 1,
}  # fmt: skip


def judged(*rows: dict[str, Any], expected: tuple[ExpectationSpec, ...] = ()) -> list[tuple[str, int, bool]]:
    """Kind, clock and whether it is accepted of each record, in the order of offsets."""
    source = PLAN.sources[0].model_copy(update={"expectations": expected})
    records = [EVENT | {"pos": pos} | row for pos, row in enumerate(rows)]
    log = pa.table({name: pa.array([r[name] for r in records], kind) for name, kind in TYPES.items()})
    with duckdb.connect() as database:
        database.register("log", log)
        database.execute(accepted_events(PLAN.model_copy(update={"sources": (source,)}), source))
        accepted = {place for (place,) in database.execute("SELECT pos FROM accepted").fetchall()}
        found = database.execute("SELECT kind, clock, pos FROM judged ORDER BY part, pos").fetchall()
    return [(kind, clock, pos in accepted) for kind, clock, pos in found]


def test_an_event_is_late_by_the_clock_before_it_in_whole_tiles() -> None:
    assert PLAN.sources[0].tile_ms == 10
    assert judged({"event_ms": 1000}, {"event_ms": 1029}, {"event_ms": 1000}, {"event_ms": 999}) == [
        ("event", 1000, True),
        ("event", 1029, True),
        ("event", 1029, True),  # two tiles behind
        ("event", 1029, False),
    ]


def test_a_mark_advances_the_clock_and_is_no_event() -> None:
    mark = {"mark": 1500, "event_ms": None, "f_user": None}
    assert judged(mark, {"event_ms": 1479}) == [("mark", 1500, False), ("event", 1500, False)]


def test_dead_records_do_not_move_the_clock() -> None:
    dead: list[dict[str, Any]] = [
        {"broken": True, "event_ms": None},
        {"event_ms": None},
        {"event_ms": 2001},  # from the future
        {"f_user": None},
        {"f_shop": None},
        {"f_amount": 2.0**47 / 100},  # does not fit a sum in hundredths
        {"f_shop": "a" * 65},  # too long for a list
    ]
    found = judged({"event_ms": 1000}, *({"event_ms": 1900} | row for row in dead), {"event_ms": 1000})
    assert found == [("event", 1000, True), *[("dead", 1000, False)] * len(dead), ("event", 1000, True)]


def test_clocks_are_those_of_partitions() -> None:
    assert judged({"event_ms": 1500}, {"event_ms": 1000, "part": 1}) == [
        ("event", 1500, True),
        ("event", 1000, True),
    ]


def test_a_quarantined_expectation_makes_a_record_dead_and_a_counted_one_does_not() -> None:
    rules = {"least": 0.0, "most": 9.0, "null_share": 0.0}
    rows = [{"f_amount": -0.5}, {"f_amount": 9.5}, {"f_amount": None}, {"f_amount": 9.0}]
    counted = ExpectationSpec(field="amount", **rules)
    assert [kind for kind, _, _ in judged(*rows, expected=(counted,))] == ["event"] * 4
    strict = ExpectationSpec(field="amount", quarantine=True, **rules)
    assert [kind for kind, _, _ in judged(*rows, expected=(strict,))] == ["dead"] * 3 + ["event"]
    shops = ExpectationSpec(field="shop", categories=("a", "o'b"), quarantine=True)
    rows = [{"f_shop": "a"}, {"f_shop": "o'b"}, {"f_shop": "c"}]
    assert [kind for kind, _, _ in judged(*rows, expected=(shops,))] == ["event", "event", "dead"]
