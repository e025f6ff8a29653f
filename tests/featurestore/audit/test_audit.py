"""The audit finds nothing on what the engine serves, and every skew that is planted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.feature_specs import ExpectationSpec, FeatureRef, FeatureServiceSpec
from tests.support.audit_scene import (
    Scene,
    assert_all_equal,
    audited_plan,
    counts_of,
    purchase,
    served_features,
)
from tests.support.properties import tries
from tests.support.random_logs import kept, logs, split_users


@tries(25)
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
    assert_all_equal(scene.audit(), scene)


@tries(25)
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
    assert_all_equal(scene.audit(), scene)


def test_a_text_too_long_for_a_list_is_dead_to_both():
    scene = Scene(audited_plan(shards=1), [[purchase(0, 1, 1000), purchase(1, 1, 1001, shop="a" * 65)]])
    scene.drain(5)
    scene.predict(1, "a")
    assert_all_equal(scene.audit(), scene)
    assert scene.predictions[0].features["by_user__count_amount_60_10"] == 1


FEATURES = served_features(audited_plan())
BY_USER = {name for name in FEATURES if name.startswith("by_user__")}


@pytest.fixture
def scene() -> Scene:
    scene = Scene(audited_plan(shards=1), [[purchase(n, n % 2, 1000 + n) for n in range(20)]])
    scene.drain(4)
    for user in (0, 1, 0, 1):
        scene.predict(user, "a")
    assert_all_equal(scene.audit(), scene)
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
    assert counts_of(report, "equal") == dict.fromkeys(FEATURES, 4) | {feature: 3}
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
    spreads = {name for name in BY_USER if name.startswith(("by_user__std", "by_user__var"))}
    missing = BY_USER - spreads  # a spread of 0, of equal values, is what no row says, too
    assert counts_of(report, "missing") == dict.fromkeys(missing, 1)
    assert counts_of(report, "equal") == dict.fromkeys(FEATURES, 4) | dict.fromkeys(missing, 3)
    assert not report.ok


def test_what_the_log_does_not_reach_back_to_is_not_judged(scene):
    scene.records[0][:] = scene.records[0][12:]
    report = scene.audit()
    assert report.counts == {name: {"unchecked": 4} for name in FEATURES}
    assert not report.ok  # nothing was found equal


def test_predictions_of_another_plan_are_passed_over(scene):
    scene.predictions[:] = [p.model_copy(update={"plan_hash": "other"}) for p in scene.predictions]
    report = scene.audit()
    assert (report.predictions, report.counts, report.ok) == (0, {}, False)


def test_a_sample_is_drawn_and_no_more(scene):
    report = scene.audit(sample=3)
    assert report.predictions == 3
    assert counts_of(report, "equal") == dict.fromkeys(FEATURES, 3)


def test_a_question_about_the_past_says_nothing_about_those_asked_in_time(scene):
    early = scene.predictions[0]
    late = Scene(scene.plan, [[purchase(n, n % 2, 1000 + n) for n in range(60)]])
    late.drain(4)
    late.predict(0, "a")
    update = {"ts_ms": early.ts_ms - 1, "prediction_id": "again"}
    late.predictions = [*scene.predictions, late.predictions[0].model_copy(update=update)]
    assert_all_equal(late.audit(), late)


def test_a_view_is_recomputed_under_each_of_its_names_by_the_entities_of_that_name():
    plan = audited_plan(shards=1)
    names = ("count_amount_60_10", "mean_amount_60_10")
    keys = (("user", "giver"),)
    given = tuple(
        FeatureRef(view="by_user", feature=name, alias="by_giver", join_key_map=keys) for name in names
    )
    both = FeatureServiceSpec(name="all", features=(*plan.services[0].features, *given))
    scene = Scene(
        plan.model_copy(update={"services": (both,)}), [[purchase(n, n % 3, 1000 + n) for n in range(20)]]
    )
    scene.drain(4)
    for user, giver in ((0, 2), (2, 0), (1, 77)):
        scene.predict(user, "a", giver=giver)
    assert_all_equal(scene.audit(), scene)
    first, second, _ = scene.predictions
    assert first.features["by_giver__mean_amount_60_10"] == second.features["by_user__mean_amount_60_10"]
    wrong = {"by_giver__count_amount_60_10": first.features["by_user__count_amount_60_10"]}
    assert wrong != {"by_giver__count_amount_60_10": first.features["by_giver__count_amount_60_10"]}
    scene.predictions[0] = first.model_copy(update={"features": first.features | wrong})
    assert counts_of(scene.audit(), "different") == {"by_giver__count_amount_60_10": 1}
