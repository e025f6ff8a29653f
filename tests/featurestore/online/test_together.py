"""Requests of one moment: one write, and to each its own replies and its own error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import ResponseError

from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.schemas.errors import ServiceUnavailable
from tests.support.redis_stand_in import RedisStandIn, bulk, command
from tests.support.waiting import PATIENCE_S


def get(exchange: AsyncExchange, *keys: bytes) -> Any:
    return exchange.run(keys, [command(b"GET", key) for key in keys])


def value(key: bytes) -> bytes:
    return b"value of " + key


def answer(words: Sequence[bytes]) -> bytes:
    return bulk(value(words[1]))


async def test_each_request_gets_its_replies_over_one_connection() -> None:
    chance = random.Random(1)
    requests = [[b"%d of %d" % (n, number) for n in range(chance.randrange(1, 5))] for number in range(40)]
    with RedisStandIn(answer) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        found = await asyncio.gather(*(get(exchange, *keys) for keys in requests))
        assert found == [[value(key) for key in keys] for keys in requests]
        assert server.connections == 1
        await exchange.close()


async def test_what_comes_while_others_are_answered_goes_together() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold_first(words: Sequence[bytes]) -> bytes:
        if words[1] == b"0":
            loop.call_soon_threadsafe(asked.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(PATIENCE_S)
        return answer(words)

    names = [b"%d" % number for number in range(1, 30)]
    with RedisStandIn(hold_first) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        first = asyncio.create_task(get(exchange, b"0"))
        await asked.wait()
        others = [asyncio.create_task(get(exchange, name)) for name in names]
        assert await asyncio.gather(*others) == [[value(name)] for name in names]  # the first still waits
        go_on.set()
        assert await first == [value(b"0")]
        assert server.connections == 2
        await exchange.close()


async def test_what_goes_together_is_bounded() -> None:
    names = [b"%d" % number for number in range(1000)]
    with RedisStandIn(answer) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        found = await asyncio.gather(*(get(exchange, name) for name in names))
        assert found == [[value(name)] for name in names]
        assert server.connections == 4
        await exchange.close()


async def test_a_command_that_is_refused_harms_nobody_else(redis_url: str, project: str) -> None:
    text, numbers = f"{project}:text".encode(), f"{project}:hash".encode()
    exchange = AsyncExchange(redis_url, PATIENCE_S)
    await exchange.run([text, numbers], [command(b"SET", text, b"a"), command(b"HSET", numbers, b"f", b"1")])
    requests = [get(exchange, text), get(exchange, text, numbers, text), get(exchange, text, b"missing")]
    found = await asyncio.gather(*requests, return_exceptions=True)
    assert (found[0], found[2]) == ([b"a"], [b"a", None])
    assert isinstance(found[1], ServiceUnavailable)
    assert "WRONGTYPE" in str(found[1])
    assert isinstance(found[1].__cause__, ResponseError)
    await exchange.close()


async def test_only_what_failed_for_the_moment_is_sent_again() -> None:
    busy = iter([b"-BUSY Redis is busy running a script\r\n"])

    def busy_once(words: Sequence[bytes]) -> bytes:
        return next(busy, answer(words)) if words[1] == b"b" else answer(words)

    with RedisStandIn(busy_once) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        found = await asyncio.gather(*(get(exchange, name) for name in (b"a", b"b", b"c")))
        assert found == [[value(name)] for name in (b"a", b"b", b"c")]
        assert [words[1] for words in server.commands] == [b"a", b"b", b"c", b"b"]
        await exchange.close()


async def test_a_request_that_is_cancelled_takes_no_other_with_it() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(words: Sequence[bytes]) -> bytes:
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(PATIENCE_S)
        return answer(words)

    with RedisStandIn(wait) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        first, second = (asyncio.create_task(get(exchange, name)) for name in (b"first", b"second"))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        assert await second == [value(b"second")]
        assert await get(exchange, b"third") == [value(b"third")]
        assert server.connections == 1
        await exchange.close()


async def test_requests_that_are_cancelled_before_they_are_sent_are_not_sent() -> None:
    with RedisStandIn(answer) as server:
        exchange = AsyncExchange(server.url, PATIENCE_S)
        cancelled = asyncio.create_task(get(exchange, b"cancelled"))
        await asyncio.sleep(0)  # it begins, and is sent at the end of the turn
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert await get(exchange, b"next") == [value(b"next")]
        await exchange.close()


async def test_a_server_that_is_away_is_told_to_each(project: str) -> None:
    with RedisStandIn(lambda words: None) as server:
        exchange = AsyncExchange(f"{server.url}?retries=1", PATIENCE_S)
        found = await asyncio.gather(*(get(exchange, b"%d" % n) for n in range(5)), return_exceptions=True)
        assert [type(each) for each in found] == [ServiceUnavailable] * 5
        assert server.connections == 2
        await exchange.close()
