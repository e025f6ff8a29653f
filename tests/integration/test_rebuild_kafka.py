"""A Redis that lost its data, restored by `headrace rebuild` while workers run and while none does."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.schemas.errors import HeadraceError
from headrace.streams.columnar.lists import Lists
from headrace.streams.log.reader import read_log
from headrace.streams.progress import counts_key, progress_key
from headrace.streams.sinks import OnlineRows
from headrace.streams.worker.rebuild import Rebuild
from tests.support.expected_rows import expected_rows, is_empty, rules_of
from tests.support.ordered_producer import ordered_producer
from tests.support.purchases import purchases_plan
from tests.support.redis_accounts import make_accounts, refused, url_of
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent, judge
from tests.support.worker_scene import Scene

NOW_MS = 1_700_000_000_000
STOOD_MS = 5 * 3_600_000


@pytest.fixture
def own_redis(servers: None) -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(own_redis: RedisServer) -> str:
    return own_redis.url


def rebuild(scene: Scene, idle_ms: int = 3_600_000, account: str | None = None) -> Mapping[str, int]:
    url = scene.redis_url if account is None else url_of(scene.redis_url, account)
    store = RedisRebuildStore(url, scene.plan)
    return Rebuild(scene.plan, scene.bootstrap, store, 2.0, idle_ms, print).run()


def hashes(scene: Scene) -> dict[bytes, dict[bytes, bytes]]:
    """Everything in Redis but what says as of when it is."""
    found: dict[bytes, dict[bytes, bytes]] = {}
    for key in scene.redis.scan_iter(count=1000):
        fields: Any = scene.redis.hgetall(key) if scene.redis.type(key) == b"hash" else {}
        told = (b"_ts:", b"_headrace:")
        found[key] = {name: value for name, value in fields.items() if not name.startswith(told)}
    return found


def test_all_rows_and_counts_come_back_when_no_worker_runs(scene: Scene) -> None:
    worker = scene.start_worker()
    scene.produce_random(random.Random(1), 3000)
    scene.wait()
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    before, counts = hashes(scene), scene.redis.hgetall(counts_key(scene.plan.project))
    scene.redis.flushdb()
    written = rebuild(scene)
    assert written.keys() == {"missing"}
    after = hashes(scene)
    for key in before.keys() - after.keys():  # given up: with nothing left in any window
        assert set(before[key].values()) <= {b"", b"\x20\x00"}
    own = {progress_key(scene.plan.project).encode()}
    for key in after.keys() - own:
        assert after[key] == before[key]
    assert scene.redis.hgetall(counts_key(scene.plan.project)) == counts
    scene.wait()
    scene.assert_equals_oracle()
    scene.redis.flushdb()
    make_accounts(scene.redis_url, scene.plan.project)
    assert rebuild(scene, account="rebuild") == written
    assert refused(scene.redis_url) == []
    assert rebuild(scene).keys() == {"current"}


def test_data_lost_under_a_running_worker_come_back_beside_what_it_writes(scene: Scene) -> None:
    rng = random.Random(2)
    scene.start_worker()
    scene.produce_random(rng, 100)
    scene.wait()
    for _ in range(4):
        before = scene.visible()
        scene.produce_random(rng, 1500)
        scene.wait_for_motion(rng.randrange(1500), since=before)
        scene.redis.flushdb()
        scene.produce_random(rng, 300)
        rebuild(scene)
        scene.wait()
        scene.assert_equals_oracle()


def test_rows_that_emptied_by_the_wall_clock_come_back_empty(scene: Scene) -> None:
    scene.start_worker(idle_ms=300)
    for user in range(2):
        fields = {"user": user, "shop": "a", "event_ms": NOW_MS, "amount": 1.0, "items": 1}
        scene.produce(user, OracleEvent(0, NOW_MS, fields))
    scene.flush()
    scene.wait()
    keys: dict[Any, Any] = {("by_user", (user,)): {} for user in range(2)}
    eventually(
        lambda: scene.online(keys), "empty rows", lambda rows: all(is_empty(row) for row in rows.values())
    )
    scene.redis.flushdb()
    rebuild(scene, idle_ms=300)
    assert all(is_empty(row) for row in scene.online(keys).values())


def test_a_stream_that_stood_still_for_hours_before_the_loss(scene: Scene) -> None:
    worker = scene.start_worker()
    produce_plain(scene, NOW_MS)
    scene.wait()
    scene.wait_for_checkpoint()
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    judged = expected_rows(scene.plan, [judge(log, rules_of(scene.plan)) for log in scene.logs])
    assert not all(is_empty(row) for row in scene.online(judged).values())
    turn_back_last_records(scene, STOOD_MS)
    scene.redis.flushdb()
    assert rebuild(scene)["missing"] > 0
    scene.assert_equals_oracle()  # as of the last record: time passes where a worker runs
    worker = scene.start_worker(idle_ms=300)
    eventually(
        lambda: scene.online(judged), "empty rows", lambda rows: all(is_empty(row) for row in rows.values())
    )
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    scene.start_worker()  # under which no time passes but that of records
    produce_plain(scene, NOW_MS + STOOD_MS)
    scene.wait()
    scene.assert_equals_oracle()


def produce_plain(scene: Scene, from_ms: int) -> None:
    """Events of both partitions without time marks, which would tell the time in place of the clock."""
    for number in range(200):
        partition = number % 2
        fields = {
            "user": number % 40, "shop": "a", "event_ms": from_ms + number, "amount": 1.0, "items": 1,
        }  # fmt: skip
        scene.produce(partition, OracleEvent(len(scene.logs[partition]), from_ms + number, fields))
    scene.flush()


def turn_back_last_records(scene: Scene, by_ms: int) -> None:
    """As if the last record of each partition had come so long ago."""
    changelog = scene.plan.topics.source(scene.plan.sources[0].name).changelog
    producer = ordered_producer(scene.bootstrap, {})
    for partition in range(2):
        positions = {
            message.key(): json.loads(message.value())
            for message in read_log(scene.bootstrap, changelog, partition)
            if message.key().startswith(b"p|")
        }
        for key, position in positions.items():
            moved = position | {"heard_ms": position["heard_ms"] - by_ms}
            producer.produce(changelog, json.dumps(moved).encode(), key, partition)
    producer.flush()


def test_without_a_changelog_it_says_what_to_do(scene: Scene) -> None:
    with pytest.raises(HeadraceError, match="start `headrace worker`"):
        rebuild(scene)


@pytest.mark.parametrize("count", [1, 1200])  # encoded row by row, and as whole columns
def test_a_row_is_written_when_it_is_missing_or_older_and_never_when_it_is_newer(
    own_redis: RedisServer, count: int
) -> None:
    plan = purchases_plan()
    store = RedisRebuildStore(own_redis.url, plan)
    width = len(plan.stream_view("by_user").features)

    def write(value: int, partition: int, offset: int, as_of_ms: int) -> Mapping[str, int]:
        whole, real = np.full(count, value), np.full(count, float(value))
        one, texts = np.ones(count, np.int64), [b"%d" % value] * count
        of_type: dict[str, Any] = {
            "Int64": whole,
            "Array(String)": Lists(texts, one),
            "Array(Float64)": Lists(real, one),
        }
        of_type |= {"Array(Int64)": Lists(whole, one), "String": texts}
        columns = [of_type.get(f.dtype, real) for f in plan.stream_view("by_user").features]
        features = tuple((column, np.ones(count, np.bool_)) for column in columns[:width])
        keys = (np.arange(count),)
        return store.write(OnlineRows("by_user", keys, features, partition, offset, as_of_ms))

    assert write(1, 3, 100, 7000) == {"missing": count}
    assert write(2, 3, 99, 9000) == {"current": count}
    assert write(2, 3, 100, 7000) == {"current": count}
    assert write(2, 4, 500, 9000) == {"current": count}
    assert write(2, 3, 100, 7001) == {"older": count}
    assert write(3, 3, 101, 6000) == {"older": count}
