"""One place connects to Redis, so that every process takes the same URLs: clusters, sentinels, TLS."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT

FACTORY = ROOT / "streams" / "connections" / "redis.py"
PACKAGES = ("schemas", "streams", "featurestore", "learners", "deploy", "examples")
MADE = re.compile(
    r"\b(Strict)?Redis(Cluster)?(\.from_\w+)?\(|\.from_url\(|ConnectionPool(\.\w+)?\(|\bSentinel\("
    r"|^\s*from redis(\.asyncio|\.cluster|\.sentinel|\.client)? import .*\b(Strict)?(Redis|Sentinel)",
    re.MULTILINE,
)


def test_no_other_file_makes_a_client() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if file != FACTORY]
    assert len(files) > 100
    found = {
        f"{file.relative_to(ROOT)}: {hit.group().strip()}"
        for file in files
        for hit in MADE.finditer(file.read_text())
    }
    assert found == set(), "use headrace.streams.connections.redis.redis_client"


@pytest.mark.parametrize(
    "line",
    [
        "redis.Redis.from_url(settings.redis)",
        "client = redis.Redis(port=1)",
        "redis.asyncio.Redis.from_url(url)",
        "redis.from_url(url)",
        "RedisCluster(startup_nodes=[])",
        "redis.ConnectionPool.from_url(url)",
        "from redis import Redis as Client",
        "from redis.cluster import RedisCluster",
    ],
)
def test_it_would_be_seen(line: str) -> None:
    assert MADE.search(line)


def test_the_factory_itself_is_seen() -> None:
    assert MADE.search(FACTORY.read_text())
