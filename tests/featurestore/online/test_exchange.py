"""Exchanges with Redis: order, retries, time-outs, broken connections, redirections in a cluster."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import redis

from headrace.featurestore.online.async_exchange import GATHER_S, AsyncExchange
from headrace.featurestore.online.exchange import Exchange
from headrace.schemas.errors import ServiceUnavailable
from tests.support.redis_servers import Cluster, running
from tests.support.redis_stand_in import RedisStandIn, bulk, command
from tests.support.waiting import PATIENCE_S, eventually

BUSY = b"-BUSY Redis is busy running a script\r\n"


class User(ABC):
    """Either exchange, behind one face."""

    @abstractmethod
    def __init__(self, url: str, timeout_s: float = PATIENCE_S, **options: Any) -> None: ...

    @abstractmethod
    def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]: ...

    @abstractmethod
    def run_together(self, requests: Sequence[bytes]) -> list[Any]:
        """Get many keys, each in a request of its own, all at once."""

    @abstractmethod
    def close(self) -> None: ...

    def end(self) -> None:
        self.close()

    def get(self, *keys: bytes) -> list[Any]:
        return self.run(keys, [command(b"GET", key) for key in keys])


class Sync(User):
    def __init__(self, url: str, timeout_s: float = PATIENCE_S, **options: Any) -> None:
        self._exchange = Exchange(url, timeout_s, **options)

    def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        return self._exchange.run(keys, commands)

    def run_together(self, requests: Sequence[bytes]) -> list[Any]:
        with ThreadPoolExecutor(len(requests)) as pool:
            return [reply for (reply,) in pool.map(self.get, requests)]

    def close(self) -> None:
        self._exchange.close()


class Async(User):
    def __init__(self, url: str, timeout_s: float = PATIENCE_S, **options: Any) -> None:
        self._loop = asyncio.Runner()
        self._exchange = AsyncExchange(url, timeout_s, **options)

    def run(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        return self._loop.run(self._exchange.run(keys, commands))

    def run_together(self, requests: Sequence[bytes]) -> list[Any]:
        async def run() -> list[Any]:
            runs = []
            for key in requests:
                runs.append(asyncio.create_task(self._exchange.run([key], [command(b"GET", key)])))
                await asyncio.sleep(2 * GATHER_S)  # those of one moment would go together
            return [reply for (reply,) in await asyncio.gather(*runs)]

        return self._loop.run(run())

    def close(self) -> None:
        self._loop.run(self._exchange.close())

    def end(self) -> None:
        super().end()
        self._loop.close()


@pytest.fixture(params=[Sync, Async])
def user(request: pytest.FixtureRequest) -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def make(*arguments: Any, **options: Any) -> User:
        users.append(request.param(*arguments, **options))
        return users[-1]

    yield make
    for each in users:
        each.end()


def key_and_answer(words: Sequence[bytes]) -> bytes:
    """An answer that shows which command it is of."""
    return bulk(b"value of " + words[1])


def value(key: bytes) -> bytes:
    return b"value of " + key


# Against a real server.


def test_replies_are_in_the_order_of_the_commands(
    user: Callable[..., User], redis_url: str, project: str
) -> None:
    names = [f"{project}:{number}".encode() for number in range(500)]
    exchange = user(redis_url)
    assert exchange.run(names, [command(b"SET", name, name[::-1]) for name in names]) == [b"OK"] * 500
    assert exchange.get(*names, b"missing") == [*(name[::-1] for name in names), None]
    assert exchange.run([], []) == []


def test_a_command_that_is_refused_leaves_the_next_request_in_order(
    user: Callable[..., User], redis_url: str, project: str
) -> None:
    text, numbers = f"{project}:text".encode(), f"{project}:hash".encode()
    exchange = user(redis_url)
    exchange.run([text, numbers], [command(b"SET", text, b"a"), command(b"HSET", numbers, b"f", b"1")])
    commands = [command(b"GET", text), command(b"GET", numbers), command(b"HGET", numbers, b"f")]
    with pytest.raises(ServiceUnavailable, match="WRONGTYPE"):
        exchange.run([text, numbers, numbers], commands)
    assert exchange.get(text, b"missing") == [b"a", None]


def test_closing_gives_the_connections_back(user: Callable[..., User], redis_url: str, project: str) -> None:
    exchange = user(f"{redis_url}?client_name={project}")
    exchange.get(b"a")
    with redis.Redis.from_url(redis_url) as client:

        def connected() -> int:
            return sum(each["name"] == project for each in client.client_list())

        assert connected() == 1
        exchange.close()
        eventually(connected, "a closed connection", lambda number: number == 0)


async def test_a_cancelled_request_leaves_the_next_one_in_order(redis_url: str, project: str) -> None:
    """The late reply of the first is not taken for that of the second."""
    exchange, key = AsyncExchange(f"{redis_url}?client_name={project}"), f"{project}:queue".encode()
    waiting = asyncio.create_task(exchange.run([key], [command(b"BLPOP", key, b"0")]))
    with redis.Redis.from_url(redis_url) as client:

        def blocked() -> bool:
            return any(c["name"] == project and "b" in c["flags"] for c in client.client_list())

        await asyncio.to_thread(eventually, blocked, "a blocked client")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        client.set(f"{project}:text", "a")
        client.rpush(key, "late")
        assert await exchange.run([key], [command(b"GET", f"{project}:text".encode())]) == [b"a"]
    await exchange.close()


# Against a stand-in, for what a real server does not do when it is asked to.


@pytest.mark.parametrize("broken_at", [0, 1, 2])
def test_what_a_broken_connection_did_not_answer_is_sent_again(
    user: Callable[..., User], broken_at: int
) -> None:
    answers = count()

    def answer(words: Sequence[bytes]) -> bytes | None:
        return None if next(answers) == broken_at else key_and_answer(words)

    with RedisStandIn(answer) as server:
        assert user(server.url).get(b"a", b"b", b"c") == [value(b"a"), value(b"b"), value(b"c")]
        assert server.connections == 2
        assert [words[1] for words in server.commands[broken_at + 1 :]] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_are_bounded(user: Callable[..., User], retries: int) -> None:
    with RedisStandIn(lambda words: None) as server:
        with pytest.raises(ServiceUnavailable, match=r"cannot be read.*see whether Redis runs"):
            user(f"{server.url}?retries={retries}").get(b"a")
        assert server.connections == retries + 1


def test_a_reply_that_is_broken_off_is_no_reply(user: Callable[..., User]) -> None:
    answers = iter([b"$10\r\nhalf", None])

    def answer(words: Sequence[bytes]) -> bytes | None:
        return next(answers, key_and_answer(words))

    with RedisStandIn(answer) as server:
        assert user(server.url).run([b"a", b"b"], [command(b"GET", b"a"), command(b"GET", b"b")]) == [
            value(b"a"),
            value(b"b"),
        ]


def test_what_is_no_reply_of_redis_is_an_error_and_its_connection_is_left(user: Callable[..., User]) -> None:
    answers = iter([b"HTTP/1.1 400 Bad Request\r\n\r\n"])

    def answer(words: Sequence[bytes]) -> bytes | None:
        return next(answers, key_and_answer(words))

    with RedisStandIn(answer) as server:
        exchange = user(server.url)
        with pytest.raises(ServiceUnavailable, match="Protocol error"):
            exchange.get(b"a")
        assert exchange.get(b"a") == [value(b"a")]


def test_a_temporary_error_in_a_reply_is_tried_again(user: Callable[..., User]) -> None:
    answers = iter([BUSY])

    def answer(words: Sequence[bytes]) -> bytes | None:
        return next(answers, key_and_answer(words))

    with RedisStandIn(answer) as server:
        assert user(server.url).get(b"a", b"b") == [value(b"a"), value(b"b")]


def test_a_server_that_does_not_answer_in_time_is_given_up(user: Callable[..., User]) -> None:
    with RedisStandIn(lambda words: b"") as server:
        with pytest.raises(ServiceUnavailable, match=r"cannot be read: .*(no answer within|Timeout)"):
            user(server.url, timeout_s=0.05, retries=0).get(b"a")
        eventually(
            lambda: [words[1] for words in server.commands], "the request", lambda sent: sent == [b"a"]
        )


def test_the_url_says_how_long_a_reply_may_take(user: Callable[..., User]) -> None:
    with RedisStandIn(lambda words: b"") as server, pytest.raises(ServiceUnavailable):
        user(f"{server.url}?socket_timeout=0.05&retries=0").get(b"a")


def test_a_late_reply_is_not_taken_for_the_next(user: Callable[..., User]) -> None:
    given_up, answered = threading.Event(), threading.Event()

    def answer(words: Sequence[bytes]) -> bytes | None:
        if words[1] == b"slow":
            assert given_up.wait(PATIENCE_S)
            answered.set()
        return key_and_answer(words)

    with RedisStandIn(answer) as server:
        exchange = user(server.url, timeout_s=0.2, retries=0)
        with pytest.raises(ServiceUnavailable):
            exchange.get(b"slow")
        given_up.set()
        assert answered.wait(PATIENCE_S)
        assert eventually(lambda: _get_in_time(exchange), "a reply in time") == [value(b"fast")]


def _get_in_time(exchange: User) -> list[Any]:
    """On a machine that is busy even a fast reply may take too long."""
    try:
        return exchange.get(b"fast")
    except ServiceUnavailable:
        return []


def test_requests_beyond_max_connections_wait_for_their_turn(user: Callable[..., User]) -> None:
    all_sent = threading.Event()
    with RedisStandIn(lambda words: key_and_answer(words) if all_sent.wait(PATIENCE_S) else None) as server:
        exchange = user(f"{server.url}?max_connections=3")
        names = [f"{number}".encode() for number in range(20)]
        with ThreadPoolExecutor(1) as pool:
            running_requests = pool.submit(exchange.run_together, names)
            eventually(lambda: len(server.commands), "requests on each connection", lambda n: n == 3)
            all_sent.set()
            assert running_requests.result(PATIENCE_S) == [value(name) for name in names]
        assert server.connections == 3


def test_a_request_that_waits_too_long_for_its_turn_is_refused(user: Callable[..., User]) -> None:
    answers = threading.Event()
    with RedisStandIn(lambda words: key_and_answer(words) if answers.wait(PATIENCE_S) else None) as server:
        exchange = user(f"{server.url}?max_connections=1&socket_timeout=0.05&retries=0")
        with pytest.raises(ServiceUnavailable):
            exchange.run_together([b"first", b"second"])
        answers.set()


def test_the_refusal_names_the_option_that_helps() -> None:
    answers = threading.Event()
    with RedisStandIn(lambda words: key_and_answer(words) if answers.wait(PATIENCE_S) else None) as server:
        first = Exchange(f"{server.url}?max_connections=1&socket_timeout={PATIENCE_S:g}")
        with ThreadPoolExecutor(1) as pool:
            running_request = pool.submit(first.run, [b"a"], [command(b"GET", b"a")])
            eventually(lambda: server.commands, "a request under way")
            first.nodes.timeout_s = 0.01  # of the second request alone: the first has its reply to wait for
            with pytest.raises(ServiceUnavailable, match=r"all 1 connections.*raise max_connections"):
                first.run([b"b"], [command(b"GET", b"b")])
            answers.set()
            assert running_request.result(PATIENCE_S) == [value(b"a")]
        first.close()


# In a cluster.


def test_a_redirection_is_followed_and_its_replies_stay_in_order(user: Callable[..., User]) -> None:
    """A stand-in asks for some keys elsewhere, which is itself, and is busy when it is told ASKING."""
    asked: list[bytes] = []
    busy = iter([True] * 2)

    def answer(words: Sequence[bytes]) -> bytes | None:
        if words[0] == b"ASKING":
            return BUSY if next(busy, False) else b"+OK\r\n"
        if words[1] in (b"b", b"d") and words[1] not in asked:
            asked.append(words[1])
            return f"-ASK 0 {server.address}\r\n".encode()
        return key_and_answer(words)

    with RedisStandIn(answer) as server:
        exchange = user(server.cluster_url)
        for _ in range(2):
            assert exchange.get(b"a", b"b", b"c", b"d") == [value(key) for key in (b"a", b"b", b"c", b"d")]
        assert [words[0] for words in server.commands].count(b"ASKING") == 2
        assert next(busy, None) is None


@pytest.mark.parametrize("reply", [b"-TRYAGAIN later\r\n", b"-CLUSTERDOWN nobody\r\n", BUSY, None])
def test_in_a_cluster_only_what_was_not_answered_is_sent_again(
    user: Callable[..., User], reply: bytes | None
) -> None:
    replies = iter([key_and_answer([b"GET", b"a"]), reply])

    def answer(words: Sequence[bytes]) -> bytes | None:
        return next(replies, key_and_answer(words))

    with RedisStandIn(answer) as server:
        assert user(server.cluster_url).get(b"a", b"b") == [value(b"a"), value(b"b")]
        assert [words[1] for words in server.commands] == [b"a", b"b", b"b"]


def test_redirections_without_end_are_an_error(user: Callable[..., User]) -> None:
    with RedisStandIn(lambda words: f"-MOVED 0 {server.address}\r\n".encode()) as server:
        with pytest.raises(ServiceUnavailable):
            user(server.cluster_url, retries=2).get(b"a")
        assert len(server.commands) == 4  # one more than elsewhere: a redirection is no failure


def test_a_command_that_is_refused_in_a_cluster_leaves_the_next_request_in_order(
    user: Callable[..., User],
) -> None:
    replies = iter([b"-WRONGTYPE no text\r\n"])

    def answer(words: Sequence[bytes]) -> bytes | None:
        return next(replies, key_and_answer(words))

    with RedisStandIn(answer) as server:
        exchange = user(server.cluster_url)
        with pytest.raises(ServiceUnavailable, match="WRONGTYPE"):
            exchange.get(b"a", b"b")
        assert exchange.get(b"c", b"d") == [value(b"c"), value(b"d")]


@pytest.fixture(scope="module")
def cluster(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with running(*cluster.nodes):
        cluster.form()
        yield cluster


def test_keys_of_all_nodes_are_answered_in_order(cluster: Cluster, user: Callable[..., User]) -> None:
    names = [f"key {number}".encode() for number in range(200)]
    exchange = user(cluster.url)
    assert exchange.run(names, [command(b"SET", name, value(name)) for name in names]) == [b"OK"] * 200
    assert exchange.get(*names[::-1]) == [value(name) for name in names[::-1]]
    for node in cluster.nodes:
        with node.client() as client:
            assert 0 < int(client.dbsize()) < 200
