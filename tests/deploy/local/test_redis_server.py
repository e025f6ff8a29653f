"""A Redis on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from headrace.deploy.local.redis_server import RedisServer
from headrace.schemas.errors import ServiceUnavailable


@pytest.mark.usefixtures("servers")
def test_a_persistent_redis_keeps_its_data_and_another_does_not(tmp_path: Path) -> None:
    for persistent, kept in ((True, b"1"), (False, None)):
        with RedisServer(tmp_path / str(persistent), persistent) as server:
            redis.Redis.from_url(server.url).set("key", "1")
            server.restart()
            assert redis.Redis.from_url(server.url).get("key") == kept


@pytest.mark.usefixtures("servers")
def test_a_redis_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "first") as first:
        second = RedisServer(tmp_path / "second")
        second._port = first._port
        with pytest.raises(ServiceUnavailable, match=r"Redis ended with exit code 1[\s\S]*in use"):
            second.start()
