"""A backfill out of Kafka, in processes, that hands its partitions over to a worker; audited at the end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.deploy.commands.backfill import Backfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from tests.support import worker_scene as scenes
from tests.support.expected_rows import assert_rows_equal, expected_rows, oracle_features, rules_of
from tests.support.purchases import purchases_plan
from tests.support.window_oracle import features_at, judge
from tests.support.worker_scene import Scene


def one_view_plan(*words: str, **more: int) -> Plan:
    plan = purchases_plan(*words, **more, shards=0)
    return plan.model_copy(update={"stream_views": plan.stream_views[:1]})


@pytest.fixture
def scene(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    monkeypatch.setattr(scenes, "purchases_plan", one_view_plan)
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def assert_online_is_right(scene: Scene) -> None:
    expected = {}
    for log in scene.logs:
        judged = judge(log, rules_of(scene.plan))
        accepted = [(t, (offset,), fields) for t, offset, fields in judged.accepted]
        wanted = oracle_features(scene.plan, "by_user")
        found = features_at(accepted, judged.clock_ms or 0, ("user",), wanted)
        expected |= {("by_user", key): values for key, values in found.items()}
    assert_rows_equal(scene.online(expected), expected)


def backfill_of(scene: Scene, view: str, folder: Path) -> Backfill:
    return Backfill(scene.plan, view, scene.bootstrap, folder / "log", folder / "work", Span())


def backfill_twice(
    scene: Scene, view: str, folder: Path, counts: tuple[int, int], rng: random.Random, told: list[str]
) -> Backfill:
    """Backfill so many random events, each time; the second goes on from the first."""
    for count in counts:
        scene.produce_random(rng, count)
        work = backfill_of(scene, view, folder)
        work.run(2, told.append)
    return work


def hand_over(scene: Scene, work: Backfill, told: list[str]) -> None:
    assert work.hand_over(RedisRebuildStore(scene.redis_url, scene.plan), told.append) == "now"


def test_a_worker_goes_on_where_the_backfill_ended(scene: Scene, tmp_path: Path) -> None:
    rng, told = random.Random(5), list[str]()
    work = backfill_twice(scene, "by_user", tmp_path, (1500, 700), rng, told)
    ends = [len(log) for log in scene.logs]
    assert {f"purchases[{n}]: done at {end:,}" for n, end in enumerate(ends)} <= {*told}
    counts = [judge(log, rules_of(scene.plan)).counts for log in scene.logs]
    left_out = [f"{each['dead']:,} dead and {each['late']:,} late records are in no row" for each in counts]
    assert {f"purchases[{n}]: {text}" for n, text in enumerate(left_out)} <= {*told}
    assert sum(1 for _ in ViewLog(tmp_path / "log", scene.plan, "by_user").files()) >= 4
    hand_over(scene, work, told)
    assert_online_is_right(scene)
    scene.start_worker()
    scene.produce_random(rng, 500)
    scene.wait()
    assert_online_is_right(scene)
    assert all(f"position {end}" in scene.log_file.read_text() for end in ends)
    assert work.hand_over(RedisRebuildStore(scene.redis_url, scene.plan), told.append) == "before"
    assert told[-1].startswith("nothing is handed over: workers have the state")


def test_views_behind_the_shuffle_are_handed_over_with_their_blocks(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path
) -> None:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    try:
        rng, told = random.Random(7), list[str]()
        work = backfill_twice(scene, "by_shop", tmp_path, (900, 400), rng, told)
        assert any(line.startswith("purchases, shard 1: done at") for line in told)
        hand_over(scene, work, told)
        assert_all_is_right(scene)
        scene.start_worker()
        scene.produce_random(rng, 300)
        scene.wait()
        assert_all_is_right(scene)
        positions = [line for line in told if "shuffle" in line and "go on at offset" in line]
        assert len(positions) == scene.plan.sources[0].shards
        for line in positions:
            assert f"position {line.split()[-1]}" in scene.log_file.read_text()
    finally:
        scene.stop()


def assert_all_is_right(scene: Scene) -> None:
    expected = expected_rows(scene.plan, [judge(log, rules_of(scene.plan)) for log in scene.logs])
    assert_rows_equal(scene.online(expected), expected)


def test_nothing_is_handed_over_beneath_a_running_worker(scene: Scene, tmp_path: Path) -> None:
    scene.produce_random(random.Random(6), 100)
    work = backfill_of(scene, "by_user", tmp_path)
    work.run(1, print)
    scene.start_worker(checkpoint_ms=600_000)  # it has written no position yet
    scene.wait()
    with pytest.raises(HeadraceError, match="stop them"):
        work.hand_over(RedisRebuildStore(scene.redis_url, scene.plan), print)
