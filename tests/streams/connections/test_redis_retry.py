"""Every error of a real Redis, against everything that tries again: temporary ones are waited out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from headrace.deploy.local.child import free_port
from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.featurestore.online.exchange import Exchange
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis_eviction import eviction_warning
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.connections.redis_retry import is_temporary, pause_s
from headrace.streams.connections.redis_updates import HashUpdate
from tests.support.redis_servers import Server, running
from tests.support.waiting import PATIENCE_S, eventually

KEY = "key"
PASSWORD = "secret"
_FOREVER = 1_000_000


def hset(value: str) -> bytes:
    words = [word.encode() for word in ("HSET", KEY, "f", value)]
    return b"*4\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def update(value: str) -> HashUpdate:
    return HashUpdate(KEY, "log", int(value), {"f": value})


class User(ABC):
    """Something that writes to Redis, and tries again."""

    @abstractmethod
    def __init__(self, url: str) -> None: ...

    @abstractmethod
    def write(self, value: str) -> None:
        """Write a value; blocks."""


class Sink(User):
    def __init__(self, url: str) -> None:
        self._loop = asyncio.Runner()
        self._sink = RedisOnlineSink(url, Plan(project="p"))

    def write(self, value: str) -> None:
        self._loop.run(self._sink.write([], [update(value)]))


class Publisher(User):
    def __init__(self, url: str) -> None:
        self._publisher = HashPublisher(url)

    def write(self, value: str) -> None:
        self._publisher.publish([update(value)])


class SyncExchange(User):
    def __init__(self, url: str) -> None:
        self._exchange = Exchange(url, retries=_FOREVER)

    def write(self, value: str) -> None:
        self._exchange.run([KEY.encode()], [hset(value)])


class AsyncioExchange(User):
    def __init__(self, url: str) -> None:
        self._loop = asyncio.Runner()
        self._exchange = AsyncExchange(url, timeout_s=PATIENCE_S, retries=_FOREVER)

    def write(self, value: str) -> None:
        self._loop.run(self._exchange.run([KEY.encode()], [hset(value)]))


@pytest.fixture(params=[Sink, Publisher, SyncExchange, AsyncioExchange])
def user(request: pytest.FixtureRequest) -> type[User]:
    kind: type[User] = request.param
    return kind


@dataclass(frozen=True)
class Scene:
    """A server with a password, to be brought into trouble and out of it."""

    server: Server

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@{self.server.address}/0"

    def admin(self) -> redis.Redis:
        return redis.Redis(port=self.server.port, password=PASSWORD, socket_timeout=PATIENCE_S)

    def configure(self, **settings: object) -> None:
        with self.admin() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), str(value))

    def run(self, *command: object) -> Any:
        with self.admin() as client:
            return client.execute_command(*command)

    def has_loaded(self) -> bool:
        return bool(self.run("INFO", "persistence")["loading"] == 0)

    def errors(self, code: str) -> int:
        """How often the server has answered with a code."""
        found: Any = self.run("INFO", "errorstats")
        return int(found.get(f"errorstat_{code}", {"count": 0})["count"])


@pytest.fixture(scope="module")
def server(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("redis") / "data",
        *("--requirepass", PASSWORD, "--enable-protected-configs", "yes", "--busy-reply-threshold", "1"),
        *("--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024"),
    )
    with running(server):
        yield server


@pytest.fixture
def scene(server: Server) -> Scene:
    scene = Scene(server)
    eventually(scene.has_loaded, "the server has loaded its file")
    scene.run("FLUSHALL")
    scene.run("CONFIG", "RESETSTAT")
    return scene


@contextlib.contextmanager
def out_of_memory(scene: Scene) -> Iterator[None]:
    scene.configure(maxmemory=1)
    try:
        yield
    finally:
        scene.configure(maxmemory=0)


@contextlib.contextmanager
def replica(scene: Scene) -> Iterator[None]:
    scene.run("REPLICAOF", "127.0.0.1", free_port())
    try:
        yield
    finally:
        scene.run("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def replica_without_master(scene: Scene) -> Iterator[None]:
    scene.configure(replica_serve_stale_data="no", replica_read_only="no")
    try:
        with replica(scene):
            yield
    finally:
        scene.configure(replica_serve_stale_data="yes", replica_read_only="yes")


@contextlib.contextmanager
def unable_to_save(scene: Scene) -> Iterator[None]:
    def failed() -> bool:
        return bool(scene.run("INFO", "persistence")["rdb_last_bgsave_status"] == "err")

    (scene.server.directory / "folder").mkdir(exist_ok=True)
    scene.configure(save="3600 1", dbfilename="folder")
    scene.run("BGSAVE")
    eventually(failed, "a save fails")
    try:
        yield
    finally:
        scene.configure(save="", dbfilename="dump.rdb")


@contextlib.contextmanager
def too_few_replicas(scene: Scene) -> Iterator[None]:
    scene.configure(min_replicas_to_write=1)
    try:
        yield
    finally:
        scene.configure(min_replicas_to_write=0)


@contextlib.contextmanager
def loading(scene: Scene) -> Iterator[None]:
    with scene.admin() as client:
        client.mset({f"key {number}": "x" * 90 for number in range(20_000)})
    scene.run("SAVE")
    scene.server.kill()
    scene.server.start()
    try:
        yield
    finally:
        scene.configure(key_load_delay=0)


TEMPORARY = {
    "OOM": out_of_memory,
    "READONLY": replica,
    "MASTERDOWN": replica_without_master,
    "MISCONF": unable_to_save,
    "NOREPLICAS": too_few_replicas,
    "LOADING": loading,
}


def started(function: Callable[..., object], *args: object) -> Future[object]:
    """The outcome of a call in a thread that does not hold the process up when the test has failed."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(function(*args))
        except Exception as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def stored(scene: Scene) -> object:
    return scene.run("HGET", KEY, "f")


@pytest.mark.parametrize("code", TEMPORARY)
def test_a_temporary_error_is_waited_out(scene: Scene, user: type[User], code: str) -> None:
    with TEMPORARY[code](scene):
        writing = started(user(scene.url).write, "1")
        eventually(lambda: scene.errors(code), f"{code} three times", lambda errors: errors > 2)
        assert not writing.done()
    writing.result(PATIENCE_S)
    assert stored(scene) == b"1"


@pytest.mark.parametrize(
    ("maxmemory", "policy", "warned"),
    [
        (0, "allkeys-lru", False),
        (10**9, "allkeys-lru", True),
        (10**9, "volatile-ttl", False),
        (10**9, "noeviction", False),
    ],
)
def test_a_policy_that_may_evict_rows_is_warned_of(
    scene: Scene, maxmemory: int, policy: str, warned: bool
) -> None:
    scene.configure(maxmemory=maxmemory, maxmemory_policy=policy)
    try:
        warning = eviction_warning(scene.url)
    finally:
        scene.configure(maxmemory=0, maxmemory_policy="noeviction")
    assert (warning is not None) == warned
    assert warning is None or policy in warning


def test_of_a_redis_that_is_away_nothing_is_said() -> None:
    assert eviction_warning("redis://127.0.0.1:1/0") is None
    assert eviction_warning("redis+cluster://127.0.0.1:1") is None


def test_of_a_redis_whose_account_may_not_ask_nothing_is_said(scene: Scene) -> None:
    scene.run("ACL", "SETUSER", "narrow", "on", ">p", "-@all", "+@connection", "+get", "~*")
    assert eviction_warning(scene.url.replace(f":{PASSWORD}@", "narrow:p@")) is None


def test_a_script_that_runs_is_waited_out(scene: Scene, user: type[User]) -> None:
    """The server answers nothing but an order to end the script: tries cannot be counted."""
    script = started(scene.run, "EVAL", "while true do end", 0)
    eventually(lambda: answer(scene), "BUSY", lambda seen: seen == "BUSY")
    writing = started(user(scene.url).write, "1")
    scene.run("SCRIPT", "KILL")
    writing.result(PATIENCE_S)
    assert isinstance(script.exception(PATIENCE_S), redis.ResponseError)
    assert stored(scene) == b"1"


def answer(scene: Scene) -> str:
    try:
        return str(scene.run("PING"))
    except redis.ResponseError as error:
        return str(error).partition(" ")[0]


@pytest.fixture(scope="module")
def cluster(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    options = "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--requirepass", PASSWORD
    with running(server := Server(tmp_path_factory.mktemp("cluster"), *options)):
        scene = Scene(server)
        scene.run("CLUSTER ADDSLOTSRANGE", 0, 16383)
        yield scene


def test_a_cluster_without_an_owner_of_every_slot_is_waited_for(cluster: Scene, user: type[User]) -> None:
    eventually(lambda: cluster_state(cluster), "a whole cluster", lambda state: state == "ok")
    cluster.run("CONFIG", "RESETSTAT")
    writer = user(cluster.url.replace("redis://", "redis+cluster://"))
    writer.write("0")
    cluster.run("CLUSTER DELSLOTS", 0)
    eventually(lambda: cluster_state(cluster), "a slot without an owner", lambda state: state == "fail")
    writing = started(writer.write, "1")
    eventually(lambda: cluster.errors("CLUSTERDOWN"), "CLUSTERDOWN")
    assert not writing.done()
    cluster.run("CLUSTER ADDSLOTS", 0)
    writing.result(PATIENCE_S)
    assert stored(cluster) == b"1"


def cluster_state(scene: Scene) -> str:
    return str(scene.run("CLUSTER INFO")["cluster_state"])


@pytest.mark.parametrize(
    ("code", "account"),
    [("NOAUTH", ""), ("WRONGPASS", ":wrong@"), ("WRONGPASS", "nobody:wrong@"), ("NOPERM", "reader:r@")],
)
def test_a_refused_account_is_raised_at_once(scene: Scene, user: type[User], code: str, account: str) -> None:
    scene.run("ACL", "SETUSER", "reader", "on", ">r", "~*", "+@all", "-hset")
    with pytest.raises(ServiceUnavailable):
        user(f"redis://{account}{scene.server.address}/0").write("1")
    assert scene.errors(code) > 0


def test_a_wrong_type_is_raised_at_once(scene: Scene, user: type[User]) -> None:
    scene.run("SET", KEY, "no hash")
    with pytest.raises(ServiceUnavailable, match="WRONGTYPE"):
        user(scene.url).write("1")
    assert scene.errors("WRONGTYPE") == 1


def test_a_try_that_is_not_to_be_repeated_says_the_error(scene: Scene) -> None:
    with out_of_memory(scene), pytest.raises(ServiceUnavailable, match="maxmemory"):
        Exchange(scene.url, retries=0).run([KEY.encode()], [hset("1")])
    assert scene.errors("OOM") == 1


@pytest.mark.parametrize(
    "error", [redis.DataError("?"), redis.ResponseError("BUSYGROUP there"), ValueError("OOM")]
)
def test_other_errors_are_permanent(error: Exception) -> None:
    assert not is_temporary(error)


@pytest.mark.parametrize("code", ["OOM", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "READONLY"])
@pytest.mark.parametrize(
    "form",
    [
        "{} and so on",
        "Command # 2 (EVALSHA 1) of pipeline caused error: {} and so on",
        "Error running script (call to f_1): @user_script:4: @user_script: 4: -{} and so on",
    ],
)
def test_a_temporary_error_is_known_by_its_code_wherever_it_stands(code: str, form: str) -> None:
    assert is_temporary(redis.ResponseError(form.format(code)))


def test_pauses_grow_and_are_bounded() -> None:
    pauses = [pause_s(failures) for failures in range(1, 200)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], pauses[-1]) == (0.0, 0.05, 2.0)
