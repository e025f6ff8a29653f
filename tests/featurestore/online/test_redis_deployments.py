"""The online store in a cluster, behind sentinels, with passwords and TLS: written, read, rebuilt."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.plans.store import PlanStore
from headrace.featurestore.plans.usage import Amount, RedisPlanUsage
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    FieldSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_eviction import eviction_warning
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.progress import (
    ProcessRegistry,
    Progress,
    ProgressStore,
    RunningProcess,
    progress_field,
    progress_key,
)
from headrace.streams.sinks import OnlineRows
from tests.support.redis_accounts import (
    PASSWORD,
    documented_accounts,
    documented_besides,
    make_accounts,
    make_sentinel_account,
    refused,
    url_of,
)
from tests.support.redis_servers import Cluster, Server, certificates, running, tls_before
from tests.support.waiting import PATIENCE_S, eventually_in_loop


def make_plan() -> Plan:
    aggregation = AggregationSpec(
        feature="n", function="count", column="x", window_ms=1000, hop_ms=1000, dtype="Int64"
    )
    source = SourceSpec(
        name="s",
        topic="events",
        reader_schema="{}",
        writer_schemas={1: "{}"},
        timestamp_field="t",
        key_field="k",
        tile_ms=1000,
        late_tiles=0,
        max_future_ms=0,
        shards=0,
    )
    key = FieldSpec(name="k", dtype="String")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(aggregation,))
    pushed = BatchViewSpec(name="w", join_keys=(key,), features=(FieldSpec(name="n", dtype="Int64"),))
    return Plan(
        project=f"t{uuid.uuid4().hex[:12]}",
        sources=(source,),
        stream_views=(view,),
        batch_views=(pushed,),
        push_sources=(PushSourceSpec(name="pushes", timestamp_field="at", views=("w",)),),
    )


NAMES = [f"{{{n}" if n % 7 == 0 else f"user {n}}}" for n in range(3000)]  # what a hash tag looks like, too


def rows(value: int, names: list[str], offset: int = 5) -> OnlineRows:
    keys = np.array([name.encode() for name in names])
    column = np.full(len(names), value), np.ones(len(names), np.bool_)
    return OnlineRows("v", (keys,), (column,), 2, offset, 1_700_000_000_123)


async def write_rows(url: str, plan: Plan, *batches: OnlineRows) -> None:
    sink = RedisOnlineSink(url, plan)
    progress = {progress_field("features", "events", 0, "direct"): Progress(7, plan=plan.hash).encode()}
    await sink.write(batches, [HashUpdate(progress_key(plan.project), "a", 7, progress)])
    await sink.close()


async def write(url: str, plan: Plan, *batches: OnlineRows) -> None:
    sink = RedisOnlineSink(url, plan)
    progress = {progress_field("features", "events", 0, "direct"): Progress(7, plan=plan.hash).encode()}
    updates = [HashUpdate(progress_key(plan.project), "a", 7, progress)]
    await sink.write(batches, [*updates, HashUpdate(f"{plan.project}:other", "a", 1, {"a": "1"})])
    await sink.close()


def read(url: str, plan: Plan, names: list[str]) -> list[int | None]:
    with FeatureClient(plan, url) as client:
        found = client.get_online_features(["v:n"], {"k": names}).columns["v__n"]
    return list(found)


def check_everything(url: str) -> Plan:
    """What every process does with Redis, in turn, for the plan that is returned."""
    plan = make_plan()
    PlanStore(url, plan.project).save(plan)
    asyncio.run(write(url, plan, rows(1, NAMES), rows(2, NAMES[:10])))
    expected = [2] * 10 + [1] * (len(NAMES) - 10)

    async def read_async() -> list[int | None]:
        async with await AsyncFeatureClient.connect(url, plan.project) as client:
            await client.wait("events", {0: 7}, timeout_s=PATIENCE_S)
            found = await client.get_online_features(["v:n"], {"k": [*NAMES, "nobody"]})
        return list(found.columns["v__n"])

    assert read(url, plan, [*NAMES, "nobody"]) == [*expected, None]
    assert asyncio.run(read_async()) == [*expected, None]
    usage = RedisPlanUsage(redis_client(url), plan)
    assert usage.rows(plan.stream_views[0]) == Amount(len(NAMES))
    check_rebuild(url, plan)
    check_pointers(url, plan)
    check_pushes(url, plan)
    return plan


def check_pushes(url: str, plan: Plan, names: list[str] = NAMES[:200]) -> None:
    rows = {"k": names, "n": [1] * len(names), "at": ["2024-01-01"] * len(names)}

    async def push() -> dict[str, int]:
        async with AsyncFeatureClient(plan, url) as client:
            return await client.push("pushes", rows | {"n": [2] * len(names)})

    with FeatureClient(plan, url) as client:
        assert client.push("pushes", rows) == {"w": len(names)}
        assert asyncio.run(push()) == {"w": 0}
        assert client.get_online_features(["w:n"], {"k": names}).columns["w__n"] == [1] * len(names)


def check_rebuild(url: str, plan: Plan, reader: str | None = None) -> None:
    """Rebuild, and read what was rebuilt, with another account where one is given."""
    reader = reader or url
    store = RedisRebuildStore(url, plan)
    assert store.write(rows(3, [*NAMES[:20], "new"], offset=6)) == {"missing": 1, "older": 20}
    assert store.write(rows(4, NAMES[:20], offset=5)) == {"current": 20}
    assert read(reader, plan, [*NAMES[:21], "new"]) == [3] * 20 + [1, 3]
    field = progress_field("features", "events", 0, "direct")
    store.publish([HashUpdate(progress_key(plan.project), "a", 3, {field: Progress(3).encode()})])
    with redis_client(reader) as client:
        assert ProgressStore(client, plan).read()["features", "events", 0, "direct"].next_offset == 7


def check_pointers(url: str, plan: Plan) -> None:
    with redis_client(url) as client:
        pointers = ModelPointers(client, plan.project)
        subscription = pointers.subscribe()
        subscription.wait(0)
        pointers.point("examples", {"learner": ModelPointer("1.2", 30)})
        subscription.wait(5)
        subscription.close()
        assert ("train", "examples", 0, "learner") in ProgressStore(client, plan).read()


@pytest.fixture(scope="module")
def cluster(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with running(*cluster.nodes):
        cluster.form()
        yield cluster


def test_a_cluster_serves_all_processes(cluster: Cluster) -> None:
    plan = check_everything(cluster.url)
    shares = [rows_on(node, plan.project) for node in cluster.nodes]
    assert sum(shares) == len(NAMES) + 1  # and the row that was rebuilt
    assert min(shares) > 0


def test_in_a_cluster_the_documented_accounts_are_enough(cluster: Cluster) -> None:
    plan = make_plan()
    nodes = [f"redis://{node.address}/0" for node in cluster.nodes]
    for node in nodes:
        make_accounts(node, plan.project, *documented_besides("In a cluster"))
    check_accounts(lambda account: url_of(cluster.url, account), plan)
    assert [refused(node) for node in nodes] == [[], [], []]


@pytest.mark.usefixtures("servers")
def test_behind_sentinels_the_documented_accounts_are_enough(tmp_path: Path) -> None:
    plan, master = make_plan(), Server(tmp_path / "master")
    watcher = Server(tmp_path / "sentinel", sentinel_conf=watching(master, quorum=1))
    with running(master, watcher):
        server = f"redis://{master.address}/0"
        make_accounts(server, plan.project)
        with watcher.client() as client:
            options = make_sentinel_account(client)
        url = f"redis+sentinel://{watcher.address}/store/0"
        check_accounts(lambda account: f"{url_of(url, account)}?{options}", plan)
        assert refused(server) == []
        with redis.Redis(port=watcher.port, username="asker", password=PASSWORD) as client:
            for command in ("SENTINEL FAILOVER store", "SENTINEL REMOVE store", "SHUTDOWN", "ACL LIST"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command.split())


def check_accounts(url: Callable[[str], str], plan: Plan) -> None:
    """What each process does with Redis, by its own account."""
    PlanStore(url("apply"), plan.project).save(plan)
    for account in documented_accounts():
        assert PlanStore(url(account), plan.project).load() == plan
    asyncio.run(write_rows(url("worker"), plan, rows(1, NAMES)))
    assert read(url("sdk"), plan, NAMES) == [1] * len(NAMES)
    assert RedisPlanUsage(redis_client(url("apply")), plan).rows(plan.stream_views[0]) == Amount(len(NAMES))
    asyncio.run(write_rows(url("worker"), plan, rows(2, NAMES[:10])))
    check_rebuild(url("rebuild"), plan, url("sdk"))
    assert asyncio.run(read_async(url("features"), plan, NAMES[30:50])) == [1] * 20
    for number, account in enumerate(("pushing", "features_pushing")):
        check_pushes(url(account), plan, NAMES[200 * number :][:200])
    with redis_client(url("train")) as train, redis_client(url("serve")) as serve:
        subscription = ModelPointers(serve, plan.project).subscribe()
        subscription.wait(0)
        ModelPointers(train, plan.project).point("examples", {"learner": ModelPointer("1.2", 30)})
        subscription.wait(5)
        subscription.close()
    field = progress_field("join", "predictions", 0)
    updates = {field: Progress(4, plan=plan.hash).encode()}
    HashPublisher(url("join")).publish([HashUpdate(progress_key(plan.project), "j", 4, updates)])
    for account in ("worker", "join", "train", "serve", "features", "features_pushing"):
        assert eviction_warning(url(account)) is None
        check_registry(url(account), plan, account)
    with redis_client(url("status")) as status:
        progress = ProgressStore(status, plan).read()
        assert progress["join", "predictions", 0, ""].next_offset == 4
        assert ("train", "examples", 0, "learner") in progress


def check_registry(url: str, plan: Plan, kind: str) -> None:
    """What every process says of itself, and how those of a kind end one after the other."""
    with redis_client(url) as client:
        registry = ProcessRegistry(client, plan.project)
        registry.report(RunningProcess(kind, "one", plan.hash, None))
        assert [process.name for process in registry.read() if process.kind == kind] == ["one"]
        assert registry.take_turn(kind, 60_000)
        assert not registry.take_turn(kind, 60_000)
        registry.forget_old()
        registry.forget(kind, "one")


async def read_async(url: str, plan: Plan, names: list[str]) -> list[int | None]:
    client = AsyncFeatureClient(plan, url)
    found = await client.get_online_features(["v:n"], {"k": names})
    await client.close()
    return list(found.columns["v__n"])


def test_one_node_that_may_evict_rows_is_warned_of(cluster: Cluster) -> None:
    assert eviction_warning(cluster.url) is None
    with cluster.nodes[2].client() as client:
        client.config_set("maxmemory", 10**9)
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "maxmemory-policy allkeys-lru" in str(eviction_warning(cluster.url))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 0)


def rows_on(node: Server, project: str) -> int:
    with node.client() as client:
        return sum(key.endswith(project.encode()) for key in client.scan_iter(count=1000))


async def test_slots_may_move_between_nodes(cluster: Cluster) -> None:
    """While a slot moves, some of its keys are asked for elsewhere (ASK), and all afterwards (MOVED)."""
    plan = make_plan()
    names = [f"{n}{{tag}}" for n in range(40)]
    with redis_client(cluster.url) as client:
        slot = client.keyslot("{tag}")  # type: ignore[attr-defined]
        owner = client.get_node_from_key("{tag}").port  # type: ignore[attr-defined]
    source = next(node for node in cluster.nodes if node.port == owner)
    target = next(node for node in cluster.nodes if node.port != owner)
    sink, client = RedisOnlineSink(cluster.url, plan), FeatureClient(plan, cluster.url)
    later = AsyncFeatureClient(plan, cluster.url)
    try:
        await sink.write([rows(1, names)], [])
        with source.client() as old, target.client() as new:
            new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.identity(source))
            old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.identity(target))
            keys = old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
            assert len(keys) >= len(names)  # a key of another test may be in the slot by chance
            old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys[:25])
            for _ in range(2):
                assert client.get_online_features(["v:n"], {"k": names}).columns["v__n"] == [1] * 40
                found = await later.get_online_features(["v:n"], {"k": names})
                assert found.columns["v__n"] == [1] * 40
            writing = asyncio.create_task(sink.write([rows(2, names)], []))
            await eventually_in_loop(lambda: sink.waiting, "a sink that waits")
            old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys[25:])
            for node in (new, old):
                node.execute_command("CLUSTER SETSLOT", slot, "NODE", cluster.identity(target))
            await writing
        assert client.get_online_features(["v:n"], {"k": names}).columns["v__n"] == [2] * 40
        found = await later.get_online_features(["v:n"], {"k": names})
        assert found.columns["v__n"] == [2] * 40
    finally:
        client.close()
        await later.close()
        await sink.close()


@pytest.mark.usefixtures("servers")
async def test_a_node_that_comes_back_is_written_and_read_again(tmp_path: Path) -> None:
    cluster, plan = Cluster(tmp_path), make_plan()
    with running(*cluster.nodes):
        await asyncio.to_thread(cluster.form)
        sink, client = RedisOnlineSink(cluster.url, plan), FeatureClient(plan, cluster.url)
        await sink.write([rows(1, NAMES)], [])
        cluster.nodes[2].kill()
        with pytest.raises(ServiceUnavailable, match="cannot be read"):
            client.get_online_features(["v:n"], {"k": NAMES})
        writing = asyncio.create_task(sink.write([rows(2, NAMES)], []))
        await eventually_in_loop(lambda: sink.waiting, "a sink that waits")
        await asyncio.to_thread(cluster.nodes[2].start)
        await writing
        assert client.get_online_features(["v:n"], {"k": NAMES}).columns["v__n"] == [2] * len(NAMES)
        client.close()
        await sink.close()


def watching(master: Server, quorum: int) -> str:
    """The configuration of a sentinel that watches a master."""
    return f"sentinel monitor store 127.0.0.1 {master.port} {quorum}\n" + "".join(
        f"sentinel {option}\n"
        for option in ("down-after-milliseconds store 500", "failover-timeout store 3000")
    )


def sentinels(directory: Path, master: Server) -> list[Server]:
    conf = watching(master, quorum=2)
    return [Server(directory / f"sentinel{n}", sentinel_conf=conf) for n in range(3)]


@pytest.mark.usefixtures("servers")
async def test_behind_sentinels_the_new_master_is_found(tmp_path: Path) -> None:
    plan, master = make_plan(), Server(tmp_path / "master")
    replica = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {master.port}")
    watchers = sentinels(tmp_path, master)
    url = f"redis+sentinel://{','.join(watcher.address for watcher in watchers)}/store/0"
    with running(master, replica, *watchers):
        await eventually_in_loop(
            lambda: [known_by(watcher) for watcher in watchers],
            "one replica and two other sentinels",
            lambda known: set(known) == {(1, 2)},
        )
        await asyncio.to_thread(check_everything, url)
        sink, client = RedisOnlineSink(url, plan), FeatureClient(plan, url)
        later = AsyncFeatureClient(plan, url)
        await sink.write([rows(1, NAMES)], [])
        assert client.get_online_features(["v:n"], {"k": NAMES[:2]}).columns["v__n"] == [1, 1]
        assert (await later.get_online_features(["v:n"], {"k": NAMES[:2]})).columns["v__n"] == [1, 1]
        master.kill()
        with pytest.raises(ServiceUnavailable):
            client.get_online_features(["v:n"], {"k": NAMES[:2]})
        await sink.write([rows(2, NAMES)], [])  # returns when the replica has been promoted
        asked = ["v:n"], {"k": NAMES[:2]}
        answer = await answered(lambda: asyncio.to_thread(client.get_online_features, *asked))
        assert answer.columns["v__n"] == [2, 2]
        answer = await answered(lambda: later.get_online_features(*asked))
        assert answer.columns["v__n"] == [2, 2]
        with replica.client() as promoted:
            assert promoted.role()[0] in (b"master", "master")
        client.close()
        await later.close()
        await sink.close()


async def answered(ask: Callable[[], Awaitable[FeatureResponse]]) -> FeatureResponse:
    """Ask until there is an answer: sentinels that a busy machine gives no time doubt a master that lives."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(ServiceUnavailable):
                return await ask()


def known_by(watcher: Server) -> tuple[int, int]:
    """How many replicas and other sentinels a sentinel knows."""
    with watcher.client() as client:
        state = client.sentinel_master("store")
    return state["num-slaves"], state["num-other-sentinels"]


@pytest.mark.usefixtures("servers")
def test_accounts_and_passwords(tmp_path: Path) -> None:
    server = Server(tmp_path, "--requirepass", "p@ss:w/rd")
    with running(server):
        check_everything(f"redis://:p%40ss%3Aw%2Frd@{server.address}/0")
        with redis_client(f"redis://:p%40ss%3Aw%2Frd@{server.address}/0") as client:
            client.acl_setuser(
                "reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+hmget", "+get"]
            )
        plan = make_plan()
        assert read(f"redis://reader:secret@{server.address}/0", plan, ["a"]) == [None]
        for url in (f"redis://{server.address}/0", f"redis://reader:wrong@{server.address}/0"):
            with pytest.raises(ServiceUnavailable, match=r"(?i)auth|password"):
                read(url, plan, ["a"])
            with pytest.raises(ServiceUnavailable, match="Redis refuses the online rows"):
                asyncio.run(write(url, plan, rows(1, ["a"])))
        with pytest.raises(ServiceUnavailable, match=r"Redis refuses.*permissions"):
            asyncio.run(write(f"redis://reader:secret@{server.address}/0", plan, rows(1, ["a"])))


@pytest.mark.usefixtures("servers")
def test_tls(tmp_path: Path) -> None:
    server, (certificate, key) = Server(tmp_path), certificates(tmp_path)
    with running(server), tls_before(server.port, certificate, key) as port:
        check_everything(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        with pytest.raises(ServiceUnavailable, match="certificate"):
            read(f"rediss://127.0.0.1:{port}/0", make_plan(), ["a"])
        unchecked = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none&ssl_check_hostname=false"
        assert read(unchecked, make_plan(), ["a"]) == [None]
