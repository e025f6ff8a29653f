"""Expectations of fields: what fails is counted, whatever the batches, and refused where asked."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import ExpectationSpec, ViewExpectationsSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.expectations import Alerts, RowExpectations
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.progress import counts_key
from headrace.streams.runtime.health import PlanHealth, ProcessHealth
from headrace.streams.runtime.health_server import serve_health
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.watchdog import Watchdog
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.source_partition import SourcePartition
from headrace.streams.worker.health import partition_health
from headrace.streams.worker.owned_partition import OwnedPartition
from headrace.streams.worker.progress import feature_progress
from tests.support.properties import tries
from tests.support.purchases import EVENT_SCHEMA, purchases_plan
from tests.support.waiting import PATIENCE_S

AMOUNT = ExpectationSpec(field="amount", least=0.0, most=100.0, quarantine=True)
SHOP = ExpectationSpec(field="shop", categories=("a", "Zürich"), null_share=0.1)
NOTE = ExpectationSpec(field="note", categories=("", "gift"))
ITEMS = ExpectationSpec(field="items", null_share=0.0, quarantine=True)


def plan(*expectations: ExpectationSpec) -> Plan:
    found = purchases_plan(late_tiles=1000)
    source = found.sources[0].model_copy(update={"expectations": expectations})
    return found.model_copy(update={"sources": (source,)})


def record(offset: int, event_ms: int = 1000, **fields: Any) -> LogRecord:
    values = {"user": 1, "shop": "a", "amount": 1.0, "items": 1, "note": "", "event_ms": event_ms, **fields}
    return LogRecord(offset, event_ms, b"k", encode_confluent(EVENT_SCHEMA, 7, values))


def partition(of: Plan) -> SourcePartition:
    return SourcePartition(of, of.sources[0], 0)


def test_a_record_outside_the_range_is_a_dead_letter_that_says_why() -> None:
    one = partition(plan(AMOUNT))
    effects = one.process(
        LogRecords.of([record(0), record(1, 9000, amount=-2.5), record(2, amount=100.5), record(3)])
    )
    told = {dead_letter.offset: (dead_letter.kind, dead_letter.reason) for dead_letter in effects.rejected}
    assert told == {
        1: ("invalid", "amount = -2.5, and min=0 is expected"),
        2: ("invalid", "amount = 100.5, and max=100 is expected"),
    }
    assert (one.intake.counts.applied, one.intake.counts.dead) == (2, 2)
    assert one.intake.clock_ms == 1000  # a refused record does not move the clock
    assert one.intake.expectations.counts == {"checked": 4, "amount min=0": 1, "amount max=100": 1}


def test_without_quarantine_what_fails_is_counted_and_applied() -> None:
    one = partition(plan(SHOP, NOTE))
    effects = one.process(
        LogRecords.of([record(0), record(1, shop="Zürich"), record(2, shop="b"), record(3, note="x")])
    )
    assert effects.rejected == []
    assert one.intake.counts.applied == 4
    found = one.intake.expectations.counts
    assert found == {"checked": 4, "shop in=a|Zürich": 1, "note in=|gift": 1}


def test_a_null_fails_only_what_is_expected_of_nulls() -> None:
    one = partition(plan(AMOUNT, ITEMS))
    effects = one.process(
        LogRecords.of([record(0, amount=None), record(1, items=None), record(2, amount=float("nan"))])
    )
    assert [dead_letter.offset for dead_letter in effects.rejected] == [1]
    assert one.intake.expectations.counts == {"checked": 3, "items nulls=0": 1}


def test_broken_records_and_marks_are_not_checked() -> None:
    from headrace.schemas.marks import mark_headers

    one = partition(plan(AMOUNT))
    one.process(
        LogRecords.of(
            [LogRecord(0, 5, None, None, mark_headers(5)), LogRecord(1, 5, b"k", b"broken"), record(2)]
        )
    )
    assert one.intake.expectations.counts == {"checked": 1}


FIELDS = st.fixed_dictionaries(
    {
        "amount": st.sampled_from([None, -1.0, 0.0, 50.0, 100.0, 100.01, float("nan")]),
        "shop": st.sampled_from([None, "a", "b", "Zürich"]),
        "items": st.sampled_from([None, 0, 3]),
    }
)


def naive(fields: dict[str, Any]) -> tuple[set[str], bool]:
    """Rules one record fails, in plain Python, and whether it is refused."""
    amount = fields["amount"]
    broken = set()
    if amount is not None and amount < 0:
        broken.add("amount min=0")
    if amount is not None and amount > 100:
        broken.add("amount max=100")
    refused = bool(broken)
    if fields["shop"] is None:
        broken.add("shop nulls=0.1")
    elif fields["shop"] == "b":
        broken.add("shop in=a|Zürich")
    if fields["items"] is None:
        broken.add("items nulls=0")
        refused = True
    return broken, refused


@tries(50)
@given(rows=st.lists(FIELDS, min_size=1, max_size=30), data=st.data())
def test_counts_and_refusals_are_those_of_a_naive_check_whatever_the_batches_and_restarts(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    of = plan(AMOUNT, SHOP, ITEMS)
    one, refused = partition(of), set()
    log = [record(offset, **fields) for offset, fields in enumerate(rows)]
    while one.next_offset < len(log):
        size = data.draw(st.integers(1, 8))
        effects = one.process(LogRecords.of(log[one.next_offset : one.next_offset + size]))
        refused |= {
            dead_letter.offset for dead_letter in effects.rejected if "expected" in dead_letter.reason
        }
        if data.draw(st.booleans()):
            changelog = one.snapshot()
            one = partition(of)
            one.restore(changelog)
    judged = [naive(fields) for fields in rows]
    assert refused == {offset for offset, (_, is_refused) in enumerate(judged) if is_refused}
    wanted = Counter(rule for broken, _ in judged for rule in broken) + Counter(checked=len(rows))
    assert one.intake.expectations.counts == wanted


def test_only_an_expectation_that_refuses_records_is_part_of_the_definition() -> None:
    def definition(of: Plan) -> str:
        return definition_of(of, of.sources[0])

    assert definition(plan(SHOP)) == definition(plan())
    assert definition(plan(AMOUNT)) != definition(plan())


def test_counts_are_published_beside_those_of_the_intake() -> None:
    of = plan(AMOUNT)
    one = partition(of)
    one.process(LogRecords.of([record(0, amount=-1.0)]))
    told = {u.key: u.fields for u in feature_progress(of, "shop.purchases", one)}[counts_key("shop")]
    assert json.loads(told["expectations|shop.purchases|0"]) == {"checked": 1, "amount min=0": 1}
    plain = feature_progress(plan(), "t", partition(plan()))
    assert not [name for update in plain for name in update.fields if "expectations" in name]


def test_what_fails_is_told_once_a_minute_and_a_share_of_nulls_when_it_is_exceeded() -> None:
    alerts = Alerts("purchases[0]", [AMOUNT, SHOP])
    counts = {"checked": 100, "amount min=0": 2, "shop nulls=0.1": 10}
    assert alerts.report(0.0, counts, None) == ["purchases[0]: 2 of 100 fail amount min=0"]
    more = {"checked": 200, "amount min=0": 2, "shop nulls=0.1": 21}
    assert alerts.report(59.0, more, None) == []
    assert alerts.report(60.0, more, None) == ["purchases[0]: 11 of 100 fail shop nulls=0.1"]
    assert alerts.report(200.0, more, None) == []


def test_a_newest_event_that_is_too_old_is_told() -> None:
    alerts = Alerts("purchases[0]", [ExpectationSpec(field="event_ms", fresh_ms=300_000)])
    assert alerts.report(0.0, {}, 299_000) == []
    assert alerts.report(1.0, {}, 400_000) == ["purchases[0]: the newest event is 400 s old"]
    assert alerts.report(30.0, {}, 430_000) == []


def test_features_are_checked_as_their_rows_are_written() -> None:
    of = purchases_plan()
    view = of.stream_views[0]
    count, total = view.aggregations[0].feature, view.aggregations[1].feature
    expected = ViewExpectationsSpec(
        view=view.name,
        features=(
            ExpectationSpec(field=count, least=1.0),
            ExpectationSpec(field=total, most=10.0, null_share=0.5),
        ),
    )
    known = RowExpectations(of.model_copy(update={"expectations": (expected,)}))
    state = partition(of)
    for rows in state.process(LogRecords.of([record(0, amount=7.0), record(1, user=2, amount=11.0)])).rows:
        known.check(rows.view, rows.features)
    for rows in state.process(
        LogRecords.of([record(2, event_ms=1100)])
    ).rows:  # the first two have left every window
        known.check(rows.view, rows.features)
    written, failed = known.counts[view.name]["checked"], f"{total} max=10"
    assert written == 4  # of user 2 once with 11 and once empty, of user 1 twice
    assert known.counts[view.name][failed] == 1
    assert known.counts[view.name][f"{count} min=1"] == 1
    assert known.counts[view.name][f"{total} nulls=0.5"] == 1


def test_the_metrics_of_a_worker_say_what_was_checked_and_what_failed() -> None:
    of = plan(AMOUNT)
    one = partition(of)
    one.process(LogRecords.of([record(0), record(1, amount=-1.0)]))
    owned = OwnedPartition(one, of.sources[0], "changelog")
    rows = {"by_user": {"checked": 3, "spent min=0": 2}}
    health = ProcessHealth(
        (partition_health(("purchases", 0), Restoring(), owned),), True, 0.0, rows=rows, plan=PlanHealth("h")
    )
    watchdog = Watchdog("127.0.0.1:1", lambda: health, 60.0)  # nobody is asked before it is started
    server = serve_health("127.0.0.1", 0, watchdog)
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.server_port}/metrics", timeout=PATIENCE_S
        ) as answer:
            told = answer.read().decode().splitlines()
    finally:
        server.shutdown()
        server.server_close()
    place = 'partition="0",topic="purchases"'
    for line in (
        f"headrace_checked_total{{{place}}} 2.0",
        f'headrace_unexpected_total{{expectation="amount min=0",{place}}} 1.0',
        'headrace_checked_rows_total{view="by_user"} 3.0',
        'headrace_unexpected_rows_total{expectation="spent min=0",view="by_user"} 2.0',
    ):
        assert line in told
