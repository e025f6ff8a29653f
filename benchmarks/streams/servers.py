"""The real Kafka and Redis that the peers run against: those given, else started for the benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"


@dataclass(frozen=True)
class Servers:
    kafka: str  # host:port
    redis: str  # URL; its database is the benchmark's alone

    def empty_redis(self) -> None:
        redis.Redis.from_url(self.redis).flushdb()


@contextmanager
def servers(kafka: str | None, redis_url: str | None) -> Iterator[Servers]:
    """Start what is not given, and stop it at the end.

    Raises
    ------
    SystemExit
        When a given Redis database holds anything: the benchmark empties it between runs.
    """
    with ExitStack() as stack:
        if kafka is None:
            kafka = stack.enter_context(KafkaServer(cache=CACHE / "kafka")).bootstrap
        if redis_url is None:
            redis_url = stack.enter_context(RedisServer()).url
        held = redis.Redis.from_url(redis_url).dbsize()
        if held:
            raise SystemExit(
                f"{redis_url} holds {held} keys, and the benchmark empties it; give an empty one"
            )
        yield Servers(kafka, redis_url)
