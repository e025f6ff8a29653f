"""Whatever stands in the hashes of progress, counts, alarms and processes counts as none, and is replaced.

Several accounts of Redis write there, so one of them must not end, stop or blind another's processes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from headrace.deploy.commands.healthy import replaced, standstill
from headrace.deploy.commands.status import read_status, render_status
from headrace.featurestore.plans.usage import RedisPlanUsage
from headrace.schemas.errors import ProgressTimeout
from headrace.streams.connections.redis_updates import COUNT_ONCE, HashUpdate, write_fields, write_newer
from headrace.streams.progress import (
    ProcessRegistry,
    Progress,
    ProgressStore,
    RunningProcess,
    alarms_key,
    counts_key,
    processes_key,
    progress_field,
    progress_key,
)
from headrace.streams.runtime.plan_watch import PlanWatch
from tests.support.properties import tries
from tests.support.purchases_router import plan_with_router

_HUGE = 10**4000
numbers = st.sampled_from([-1, 0, 1.5, 1e308, float("nan"), float("inf"), 2**63, 2**64, _HUGE, True])
leaves = st.none() | numbers | st.text(max_size=3) | st.sampled_from(["0000000000000000", "here"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
fields = ("v", "next", "out", "at", "plan", "state", "replaced")
shaped = st.dictionaries(st.sampled_from(fields), values | st.dictionaries(st.just("|x"), values))
texts = (
    shaped.map(json.dumps)
    | st.fixed_dictionaries({"v": st.just(2), "next": values, "out": st.dictionaries(st.text(), values)}).map(
        lambda raw: json.dumps({**raw, "at": raw["next"]})
    )
    | values.map(json.dumps)
    | st.sampled_from(["", "{", "[" * 100_000, "nan", '"\\ud800"', "-", "9" * 5000])
)
entries = texts.map(str.encode) | st.binary(max_size=12)
_OTHERS = (b"features|x", b"features|clicks|" + b"9" * 5000 + b"|", "features|clicks|²|".encode(), b"\xff|1")
names = st.binary(max_size=6) | st.sampled_from(_OTHERS)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@tries(150, HealthCheck.function_scoped_fixture)
@given(raw=entries, name=names)
@example(raw=b'{"v":2,"next":7,"out":{"no place":3},"at":1}', name=b"x")
@example(raw=b'{"v":1,"plan":"p","replaced":' + b"9" * 400 + b',"at":1e400}', name=b"worker")
def test_what_is_damaged_counts_as_none(client: redis.Redis, project: str, raw: bytes, name: bytes) -> None:
    plan = plan_with_router(project)
    topic = plan.sources[0].topic
    keys = (progress_key(project), counts_key(project), alarms_key(project), processes_key(project))
    known = [
        progress_field("features", topic, 0, "direct"),
        progress_field("serve", topic, 0, "replica"),
        f"intake|{topic}|0",
        f"sums|{topic}|direct|0",
        "two_partitions|purchases",
        "worker|host-1",
    ]
    for key in keys:
        client.hset(key, mapping={**dict.fromkeys(known, raw), name: raw})
    status = read_status(client, plan, {(topic, 0): 9})
    render_status(plan, status)
    replaced(plan, status, "worker", 1.0)
    standstill(status, "worker", 1.0, lambda stages: False)
    RedisPlanUsage(client, plan).records(topic)
    with pytest.raises(ProgressTimeout):
        ProgressStore(client, plan).wait(topic, {0: 9}, until="serve", timeout_s=0.0)
    for key in keys:
        client.delete(key)


@tries(150, HealthCheck.function_scoped_fixture)
@given(raw=entries)
@example(raw=b'{"state":"0000000000000000"}')
@example(raw=b'{"state":"here","at":["x",null]}')
@example(raw=b'{"state":"0000000000000000","next":"9"}')
def test_what_is_damaged_gives_way_to_the_next_write(client: redis.Redis, project: str, raw: bytes) -> None:
    key = f"{project}:{next(_numbers)}"
    client.hset(key, mapping={"@log": raw, "@field": raw, "two": raw})
    write_fields(client, [HashUpdate(key, "log", 7, {"progress": "7"})])
    write_newer(client, key, {"field": ("7", (3, 7))}, "here")
    client.eval(COUNT_ONCE.text, 1, key, "@me", "1", "two", "5")
    written = client.hgetall(key)
    assert (written[b"progress"], written[b"field"], written[b"@me"]) == (b"7", b"7", b"1")
    assert int(written[b"two"]) >= 5 or raw.lstrip(b"-").isdigit()
    client.delete(key)


_numbers = itertools.count()


class NothingApplied:
    def hash_in_force(self) -> str | None:
        return None

    def load(self, hash: str | None = None) -> None:
        raise AssertionError


def test_a_process_says_that_it_is_there_beside_what_is_no_process(client: redis.Redis, project: str) -> None:
    damaged = {
        "worker": b"{",
        b"\xff|x": b"\xff",
        "join|host": b'{"v":1,"plan":"p","replaced":null,"at":1e99}',
    }
    client.hset(processes_key(project), mapping=damaged)
    registry = ProcessRegistry(client, project)
    registry.report(RunningProcess("join", "gone", "5e88", at_ms=1))
    registry.forget_old()
    PlanWatch("worker", "5e88", NothingApplied(), registry).look()
    assert [process.kind for process in registry.read()] == ["worker"]


def test_offsets_and_times_are_within_what_a_log_can_have() -> None:
    for number in ("1e3", str(2**63), "null", '"7"', "[]"):
        assert Progress.decode(f'{{"v":2,"next":{number},"out":{{}},"at":1,"plan":""}}') == Progress(0)
    kept = Progress.decode('{"v":2,"next":7,"out":{"t|0":3,"t":4,"t|x":5},"at":1,"plan":""}')
    assert kept.out == {"t|0": 3}
