"""The examples in the docstrings of the clients, run against a server that has what they read."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import Iterator

import numpy as np
import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.feature_specs import (
    AggregationSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows

WRITTEN_URL = "redis://127.0.0.1:6379/0"
HOUR_MS = 3_600_000
MEAN = AggregationSpec(
    feature="mean_1h", function="mean", column="delay", window_ms=HOUR_MS, hop_ms=300_000, dtype="Float64"
)
PLAN = Plan(
    project="flights",
    stream_views=(
        StreamViewSpec(
            name="carrier_delays",
            source="departures",
            join_keys=(FieldSpec(name="carrier", dtype="String"),),
            aggregations=(MEAN,),
        ),
    ),
    services=(
        FeatureServiceSpec(name="delays", features=(FeatureRef(view="carrier_delays", feature="mean_1h"),)),
    ),
)


@pytest.fixture(scope="module")
def flights_url(servers: None) -> Iterator[str]:
    async def write(url: str) -> None:
        sink = RedisOnlineSink(url, PLAN)
        mean = np.array([12.5]), np.array([True])
        await sink.write([OnlineRows("carrier_delays", (np.array([b"UA"]),), (mean,), 0, 1, 0)], [])
        await sink.close()

    with RedisServer() as server:
        PlanStore(server.url, PLAN.project).save(PLAN)
        asyncio.run(write(server.url))
        yield server.url


@pytest.mark.parametrize("client", [FeatureClient, AsyncFeatureClient])
def test_examples(client: type, flights_url: str) -> None:
    """They are skipped where examples run without a server."""
    (test,) = doctest.DocTestFinder(recurse=False).find(client)
    for example in test.examples:
        example.options.pop(doctest.SKIP, None)
        example.source = example.source.replace(WRITTEN_URL, flights_url)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 3
    assert not result.failed
