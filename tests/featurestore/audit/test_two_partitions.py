"""A key whose events are in two partitions: the audit knows its value over both, and who has only one."""

from __future__ import annotations

import math

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.audit.comparison import compare
from headrace.featurestore.audit.event_sql import accepted_events
from headrace.featurestore.audit.log_prefixes import LeastOffsets, Place, ServedVector, served_vector
from headrace.featurestore.audit.read_views import ReadView
from headrace.featurestore.audit.recomputation import RecomputedVector, recompute
from tests.support.audit_scene import Scene, assert_all_equal, audited_plan, counts_of, purchase
from tests.support.expected_rows import oracle_features, rules_of
from tests.support.properties import tries
from tests.support.random_logs import kept, logs
from tests.support.window_oracle import Judged, OracleEvent, OracleFeature, judge, value_of

LATER_MS = 5000  # when everything in these logs has long been appended


def test_ten_in_place_of_twenty_is_found_in_the_view_that_is_read_directly() -> None:
    scene = Scene(audited_plan(shards=1), [[purchase(0, 1, 1000, 10.0)], [purchase(0, 1, 1001, 10.0)]])
    scene.drain(5)
    scene.predict(1, "a", LATER_MS)
    assert scene.predictions[0].features["by_user__sum_amount_60_10"] == 10.0
    report = scene.audit()
    different = counts_of(report, "different")
    assert {"by_user__sum_amount_60_10", "by_user__count_amount_60_10"} <= different.keys()
    assert all(name.startswith("by_user__") for name in different)  # those behind the shuffle are right
    example = next(one for one in report.examples if one.feature == "by_user__sum_amount_60_10")
    assert (example.served, example.recomputed) == (10.0, 20.0)
    assert (report.elsewhere, report.ok) == ({"purchases": 1}, False)


def test_a_key_that_moved_is_right_until_then_and_once_its_old_events_are_in_no_window() -> None:
    """Windows reach back 210 ms at most."""
    moved = [[purchase(0, 1, 1000)], [purchase(0, 7, 990), purchase(1, 1, 1010), purchase(2, 1, 1300)]]
    scene = Scene(audited_plan(shards=1), moved)
    first, second = scene.partitions
    for reader, time_ms in ((first, 1004), (second, 1009), (second, 1014), (second, 1304)):
        scene.step(reader, 1)
        scene.predict(1, "a", time_ms)
    assert_right_but(scene, {2})


def test_the_newer_event_of_a_partition_that_was_read_first_belongs_to_the_value() -> None:
    scene = Scene(audited_plan(shards=1), [[purchase(0, 1, 1000)], [purchase(0, 1, 1500)]])
    second, first = scene.partitions[::-1]
    scene.step(second, 1)
    scene.step(first, 1)
    scene.predict(1, "a", LATER_MS)
    (vector,) = recomputed(scene)
    (count,) = [
        n
        for n, a in enumerate(scene.plan.stream_view("by_user").aggregations)
        if a.feature == "count_amount_60_10"
    ]
    assert vector.elsewhere
    assert vector.values[count] == 1  # at 1500 the event at 1000 is out of the window


def assert_right_but(scene: Scene, wrong: set[int]) -> None:
    for number, prediction in enumerate(list(scene.predictions)):
        scene.predictions[:] = [prediction]
        report = scene.audit()
        assert report.ok == (number not in wrong), (number, report.examples)
        assert report.elsewhere.total() == (number in wrong)


def test_keys_in_one_partition_each_are_nowhere_else() -> None:
    users = range(3)
    scene = Scene(
        audited_plan(shards=1), [[purchase(n, user, 1000 + 40 * n) for n in range(4)] for user in users]
    )
    for _ in range(4):
        for reader in [*scene.partitions, *scene.shards]:
            scene.step(reader, 1)
        for user in users:
            scene.predict(user, "a", LATER_MS)
    assert_all_equal(scene.audit(), scene)
    assert not scene.audit().elsewhere


@tries(15)
@given(partitions=st.lists(logs(), min_size=2, max_size=3), data=st.data())
def test_every_value_is_that_of_the_key_over_all_partitions(
    partitions: list[list[OracleEvent]], data: st.DataObject
) -> None:
    scene = Scene(audited_plan(ever=data.draw(kept)), partitions)
    users = [e.fields["user"] for log in partitions for e in log if e.fields and e.fields["user"] is not None]
    for _ in range(data.draw(st.integers(1, 12))):
        scene.step(data.draw(st.sampled_from(scene.partitions)), data.draw(st.integers(1, 9)))
        user = data.draw(st.sampled_from([*users, 77]))
        scene.predict(user, "a", data.draw(st.integers(-300, 900)))
    aggregations = scene.plan.stream_view("by_user").aggregations
    features = oracle_features(scene.plan, "by_user")
    for vector, found in zip(vectors_of(scene), recomputed(scene), strict=True):
        if vector.as_of_ms is None:
            continue
        for aggregation, feature, value in zip(aggregations, features, found.values, strict=True):
            expected = value_over_all(scene, partitions, vector, feature)
            is_equal = compare(aggregation, True, expected, value).outcome == "equal"
            assert is_equal or expected is None, (feature, value, expected)  # None: a sum that does not fit


def value_over_all(
    scene: Scene, partitions: list[list[OracleEvent]], vector: ServedVector, feature: OracleFeature
) -> object:
    """The value as docs/semantics.md says it, event by event."""
    ((own, next_offset),) = vector.prefixes.items()
    user = vector.prediction.entities["user"]
    judged: dict[int, Judged] = {
        part: judge(partitions[part][:end], rules_of(scene.plan))
        for part, end in {own: next_offset, **vector.others}.items()
    }
    events = {
        part: [(ms, (offset, part), fields) for ms, offset, fields in one.accepted if fields["user"] == user]
        for part, one in judged.items()
    }
    at_ms = max(ms for ms in (vector.as_of_ms, judged[own].clock_ms) if ms is not None)
    first_ms = -math.inf
    if feature.window_ms:
        first_ms = (at_ms - feature.window_ms) // feature.hop_ms * feature.hop_ms
    clocks = [at_ms]
    for part, found in events.items():
        if part != own and any(ms >= first_ms for ms, _, _ in found):
            clocks.append(judged[part].clock_ms or at_ms)
    return value_of([event for found in events.values() for event in found], max(clocks), feature)


def vectors_of(scene: Scene) -> list[ServedVector]:
    view, log = ReadView.of(scene.plan.stream_view("by_user")), scene.source_log()
    least = LeastOffsets(scene.plan, scene.plan.routers[0], [view], 0)
    places: dict[int, dict[Place, int]] = least.of_chosen(
        scene.predictions, set(range(len(scene.predictions)))
    )
    return [
        served_vector(view, True, log, prediction, places[number])
        for number, prediction in enumerate(scene.predictions)
    ]


def recomputed(scene: Scene) -> list[RecomputedVector]:
    vectors = vectors_of(scene)
    with duckdb.connect() as database:
        database.register("log", scene.source_log().events)
        database.execute(accepted_events(scene.plan, scene.source))
        found = recompute(database, ReadView.of(scene.plan.stream_view("by_user")), vectors)
    return [found[number] for number in range(len(vectors))]
