"""The three peers behind one interface. Each gives back what it read, so that it can be verified."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import redis
import redis.asyncio

from benchmarks.featurestore.workload import AT_MS, FIELDS, NAMES, VIEW, Workload
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.redis_codec import layout

_CHUNK_ROWS = 1000


class Peer(Protocol):
    name: str

    def read(self, accounts: list[int]) -> Any: ...
    async def read_async(self, accounts: list[int]) -> Any: ...
    def columns(self, answer: Any) -> Mapping[str, Sequence[Any]] | None:
        """Values by feature, or None where the peer does not decode them."""

    def prepare(self, rows: range) -> Any:
        """What writing takes, made outside the timed part."""

    async def write(self, prepared: Any) -> None: ...


class Headrace:
    name = "headrace"

    def __init__(self, workload: Workload, url: str) -> None:
        self._workload = workload
        self._client, self._async = FeatureClient(workload.plan, url), AsyncFeatureClient(workload.plan, url)
        self._sink = RedisOnlineSink(url, workload.plan)

    def read(self, accounts: list[int]) -> Any:
        return self._client.get_online_features(NAMES, {"account": accounts})

    async def read_async(self, accounts: list[int]) -> Any:
        return await self._async.get_online_features(NAMES, {"account": accounts})

    def columns(self, answer: Any) -> Mapping[str, Sequence[Any]]:
        return {field.name: answer.columns[f"{VIEW}__{field.name}"] for field in FIELDS}

    def prepare(self, rows: range) -> Any:
        part = slice(rows.start, rows.stop)
        features = [(values[part], valid[part]) for values, valid in self._workload.columns]
        return np.arange(rows.start, rows.stop), features, np.full(len(rows), AT_MS * 1000)

    async def write(self, prepared: Any) -> None:
        keys, features, times_us = prepared
        await self._sink.write_batch_view(VIEW, [keys], features, times_us)


class Feast:
    name = "feast"

    def __init__(self, workload: Workload, url: str, folder: Path) -> None:
        self._workload, self._store = workload, workload.feast_store(folder, url)
        self._view = self._store.get_feature_view(VIEW)
        self._at = datetime.fromtimestamp(AT_MS / 1000, UTC) - timedelta(seconds=1)

    def read(self, accounts: list[int]) -> Any:
        return self._store.get_online_features(NAMES, [{"account": a} for a in accounts]).to_dict()

    async def read_async(self, accounts: list[int]) -> Any:
        rows = [{"account": account} for account in accounts]
        return (await self._store.get_online_features_async(NAMES, rows)).to_dict()

    def columns(self, answer: Any) -> Mapping[str, Sequence[Any]]:
        return {field.name: answer[field.name] for field in FIELDS}

    def prepare(self, rows: range) -> Any:
        return self._workload.protos(rows)

    async def write(self, prepared: Any) -> None:
        """Each time a second later: Feast drops rows that are as old as those it has."""
        self._at += timedelta(seconds=1)
        rows = [(key, values, self._at, None) for key, values, _, _ in prepared]
        provider = self._store._get_provider()
        provider.online_write_batch(self._store.config, self._view, rows, None)


class Raw:
    """Keys and fields are made beforehand, and replies left as bytes: what redis-py itself takes."""

    name = "redis-py"

    def __init__(self, workload: Workload, url: str) -> None:
        self._workload = workload
        self._client: Any = redis.Redis.from_url(url)  # its types know no keys of bytes
        self._async: Any = redis.asyncio.Redis.from_url(url)
        names = [layout.feature_field(VIEW, field.name) for field in FIELDS]
        self._fields = [*names, layout.timestamp_field(VIEW), layout.provenance_field(VIEW)]
        start, end = layout.key_prefix(["account"]), workload.project.encode()
        size = (4).to_bytes(4, "little") + (8).to_bytes(4, "little")
        self.keys = [start + size + n.to_bytes(8, "little") + end for n in range(workload.rows)]

    def read(self, accounts: list[int]) -> Any:
        pipeline = self._client.pipeline(transaction=False)
        for account in accounts:
            pipeline.hmget(self.keys[account], self._fields)
        return pipeline.execute()

    async def read_async(self, accounts: list[int]) -> Any:
        pipeline = self._async.pipeline(transaction=False)
        for account in accounts:
            pipeline.hmget(self.keys[account], self._fields)
        return await pipeline.execute()

    def columns(self, answer: Any) -> None:
        return None

    def prepare(self, rows: range) -> Any:
        """The bytes that are stored, packed already."""
        pipeline = self._client.pipeline(transaction=False)
        for row in rows:
            pipeline.hgetall(self.keys[row])
        return list(zip((self.keys[row] for row in rows), pipeline.execute(), strict=True))

    async def write(self, prepared: Any) -> None:
        for start in range(0, len(prepared), _CHUNK_ROWS):
            pipeline = self._client.pipeline(transaction=False)
            for key, mapping in prepared[start : start + _CHUNK_ROWS]:
                pipeline.hset(key, mapping=mapping)
            pipeline.execute()
        await asyncio.sleep(0)
