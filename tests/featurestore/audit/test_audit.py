"""The audit finds nothing on what the engine serves, and every skew that is planted."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.deploy.commands.audit import _udfs as audited_udfs
from headrace.featurestore.audit.raw_events import raw_table
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import ExpectationSpec, FieldSpec
from tests.support.audit_scene import Scene, audited_plan, counts_of, purchase, with_router
from tests.support.purchase_udfs import PANDAS, by_user, transforms, udf_plan
from tests.support.random_logs import kept, logs, split_users, thorough


@settings(thorough, max_examples=25)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_nothing_is_different_or_missing_whatever_was_read_when(partitions, data):
    split_users(partitions)
    scene = Scene(audited_plan(ever=data.draw(kept)), partitions)
    users = [e.fields["user"] for log in partitions for e in log if e.fields and e.fields["user"] is not None]
    for _ in range(data.draw(st.integers(1, 15))):
        reader = data.draw(st.sampled_from([*scene.partitions, *scene.shards]))
        scene.step(reader, data.draw(st.integers(1, 9)))
        user = data.draw(st.sampled_from([*users, 77]))
        scene.predict(user, data.draw(st.sampled_from(["a", "b", "", "größer"])))
    report = scene.audit()
    assert not report.examples
    kinds = {kind for counts in report.counts.values() for kind in counts}
    assert kinds == {"equal"}
    assert report.ok


UDFS = with_router(udf_plan())


@settings(thorough, max_examples=20)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_nothing_is_different_behind_a_udf_whatever_it_filters_derives_or_fails_on(partitions, data):
    """On both sides of the shuffle; a record that one view's udf fails on is dead for the others too."""
    split_users(partitions)
    scene = Scene(UDFS, partitions, transforms=transforms(UDFS))
    users = [e.fields["user"] for log in partitions for e in log if e.fields and e.fields["user"] is not None]
    for _ in range(data.draw(st.integers(1, 15))):
        reader = data.draw(st.sampled_from([*scene.partitions, *scene.shards]))
        scene.step(reader, data.draw(st.integers(1, 9)))
        scene.predict(data.draw(st.sampled_from([*users, 77])), data.draw(st.sampled_from(["a", "b", ""])))
    report = scene.audit(udfs=PANDAS)
    assert not report.examples
    assert {kind for counts in report.counts.values() for kind in counts} == {"equal"}


def test_a_skew_behind_a_udf_is_found_where_it_is_and_nowhere_else():
    scene = Scene(UDFS, [[purchase(n, n % 2, 1000 + n) for n in range(20)]], transforms=transforms(UDFS))
    scene.drain(4)
    for user in (0, 1, 0):
        scene.predict(user, "a")
    assert scene.audit(udfs=PANDAS).ok
    skewed = PANDAS | {"by_user": lambda df: by_user(df).assign(items=df["items"] * 4)}
    different = counts_of(scene.audit(udfs=skewed), "different")
    assert different
    views = UDFS.stream_view("by_user").aggregations
    assert {*different} <= {f"by_user__{a.feature}" for a in views if a.column == "items"}


def test_a_udf_that_is_not_given_is_named():
    with pytest.raises(HeadraceError, match="view 'by_user' has a udf"):
        audited_udfs(UDFS, ["purchases"], None)


@settings(thorough, max_examples=25)
@given(log=logs(), quarantine=st.booleans())
def test_records_that_the_worker_refuses_for_an_expectation_are_dead_to_the_audit(log, quarantine):
    """And those that it only counts are not."""
    plan, rules = audited_plan(shards=1), {"quarantine": quarantine}
    expected = (
        ExpectationSpec(field="amount", least=0.0, most=1e6, null_share=0.0, **rules),
        ExpectationSpec(field="shop", categories=("a", "größer"), **rules),
        ExpectationSpec(field="items", most=2.0, **rules),
    )
    source = plan.sources[0].model_copy(update={"expectations": expected})
    scene = Scene(plan.model_copy(update={"sources": (source,)}), [log])
    scene.drain(5)
    for user in {e.fields["user"] for e in log if e.fields and e.fields["user"] is not None}:
        scene.predict(user, "a")
    assert not scene.audit().examples


def test_a_text_too_long_for_a_list_is_dead_to_both():
    scene = Scene(audited_plan(shards=1), [[purchase(0, 1, 1000), purchase(1, 1, 1001, shop="a" * 65)]])
    scene.drain(5)
    scene.predict(1, "a")
    report = scene.audit()
    assert report.ok
    assert scene.predictions[0].features["by_user__count_amount_60_10"] == 1


def test_logical_types_are_read_as_the_worker_reads_them():
    """Numbers as they are written; a time in microseconds is one."""
    fields = [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    ]
    schema = json.dumps({"type": "record", "name": "E", "fields": fields})
    plan = audited_plan()
    key, column = FieldSpec(name="id", dtype="String"), {"column": "day", "function": "max"}
    view = plan.stream_views[0]
    view = view.model_copy(
        update={
            "join_keys": (key,),
            "aggregations": (view.aggregations[0].model_copy(update=column),),
        }
    )
    source = plan.sources[0].model_copy(
        update={
            "reader_schema": schema,
            "writer_schemas": {1: schema},
            "timestamp_field": "at",
            "timestamp_unit": "us",
        }
    )
    plan = plan.model_copy(update={"sources": (source,), "stream_views": (view,)})
    event = {"at": 1_700_000_000_123_456, "day": 19_000, "id": "8b0f5a9e-5f4e-4a35-8f6f-0f6f7a1d2c3b"}
    raw = fastavro_bytes(schema, event)
    (row,) = raw_table(plan, source, [(0, 0, 5, raw, [])]).to_pylist()
    assert (row["event_ms"], row["f_day"], row["f_id"]) == (1_700_000_000_123, 19_000, event["id"])


def fastavro_bytes(schema: str, event: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(schema)), event)
    return b"\x00\x00\x00\x00\x01" + body.getvalue()


@pytest.fixture
def scene() -> Scene:
    scene = Scene(audited_plan(shards=1), [[purchase(n, n % 2, 1000 + n) for n in range(20)]])
    scene.drain(4)
    for user in (0, 1, 0, 1):
        scene.predict(user, "a")
    assert scene.audit().ok
    return scene


@pytest.mark.parametrize(
    ("feature", "served"),
    [
        ("by_user__mean_amount_60_10", 2.5000001),
        ("by_user__count_amount_60_10", 9),
        ("by_shop__sum_amount_40_20", None),
        ("by_both__last_items_200_50", 4),
    ],
)
def test_a_planted_skew_is_found_where_it_is_and_nowhere_else(scene, feature, served):
    honest = scene.predictions[1]
    scene.predictions[1] = honest.model_copy(update={"features": honest.features | {feature: served}})
    report = scene.audit()
    assert not report.ok
    assert counts_of(report, "different") == {feature: 1}
    assert counts_of(report, "missing") == {}
    (found,) = report.examples
    assert (found.prediction_id, found.feature, found.served) == ("p1", feature, served)
    assert found.recomputed == honest.features[feature]


def test_a_row_that_misses_events_others_had_seen_is_found(scene):
    """Stale by more than its own provenance can tell."""
    stale = Scene(scene.plan, [[purchase(n, n % 2, 1000 + n) for n in range(20)]])
    stale.step(stale.partitions[0], 8)
    stale.predict(0, "a")
    old = stale.predictions[0]
    update = {"ts_ms": 99, "prediction_id": "old"}
    scene.predictions.append(old.model_copy(update=update))
    different = counts_of(scene.audit(), "different")
    assert different["by_user__count_amount_60_10"] == 1


def test_a_row_that_was_not_there_is_missing_once_others_had_seen_its_events(scene):
    last = scene.predictions.pop()
    provenance = {view: at for view, at in last.provenance.items() if view != "by_user"}
    features = last.features | {n: None for n in last.features if n.startswith("by_user")}
    scene.predictions.append(last.model_copy(update={"provenance": provenance, "features": features}))
    report = scene.audit()
    missing = counts_of(report, "missing")
    assert {name.split("__")[0] for name in missing} == {"by_user"}
    assert not report.ok


def test_what_the_log_does_not_reach_back_to_is_not_judged(scene):
    scene.records[0][:] = scene.records[0][12:]
    report = scene.audit()
    assert counts_of(report, "different") == {}
    assert counts_of(report, "unchecked")
    assert not report.ok  # and nothing was found equal


def test_predictions_of_another_plan_are_passed_over(scene):
    scene.predictions[:] = [p.model_copy(update={"plan_hash": "other"}) for p in scene.predictions]
    report = scene.audit()
    assert report.predictions == 0
    assert not report.ok


def test_records_nobody_can_read_are_dead_to_both():
    assert raw_table(
        audited_plan(),
        audited_plan().sources[0],
        [(0, 0, 5, b"\x00\x00\x00\x00\x07\xff", []), (0, 1, 5, b"", [])],
    )["broken"].to_pylist() == [True, True]


def test_a_question_about_the_past_says_nothing_about_those_asked_in_time(scene):
    early = scene.predictions[0]
    late = Scene(scene.plan, [[purchase(n, n % 2, 1000 + n) for n in range(60)]])
    late.drain(4)
    late.predict(0, "a")
    update = {"ts_ms": early.ts_ms - 1, "prediction_id": "again"}
    late.predictions = [*scene.predictions, late.predictions[0].model_copy(update=update)]
    assert late.audit().ok
