"""Rows that Headrace writes are the rows that Feast writes, and both read the same values from them."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.client import AsyncFeatureClient, FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.redis_codec.layout import feature_field
from tests.support.feast_online import FEATURES, KEYS, FeastOnline, feast_online, take_hashes
from tests.support.feature_values import NO_TIME, TEXT, column, in_order, proto, shown, values_of
from tests.support.properties import tries

BY_NAME = {feature.name: feature.dtype for feature in FEATURES}
FIELD_TYPES = {feature_field(view, f.name): f.dtype for view in KEYS for f in FEATURES}
USERS, PLACES = (
    st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["", "é", "EWR"]) | TEXT,
)
ROW = st.fixed_dictionaries({name: st.none() | values_of(dtype) for name, dtype in BY_NAME.items()})
TABLE = st.dictionaries(st.tuples(PLACES, USERS), ROW, min_size=1, max_size=6)
NOW_MS = 1_700_000_000_123
Row = Mapping[str, Any]
Table = Mapping[tuple[str, int], Row]
EDGES: Table = {
    ("EWR", -1): dict.fromkeys(BY_NAME),
    ("LGA", -2): {
        name: {} if dtype.startswith("Struct") else [] if "(" in dtype else None
        for name, dtype in BY_NAME.items()
    },
    ("日本", 2**40): {
        **dict.fromkeys(BY_NAME),
        "f_bool": False,
        "f_float32": math.inf,
        "f_float64": math.nan,
        "f_int32": -(2**31),
        "f_int64": 127,
        "f_string": "",
        "f_unixtimestamp": 0,
        "f_array_float64": [math.nan, -0.0, math.inf],
        "f_array_string": ["", "é", ""],
        "f_array_unixtimestamp": [0, NO_TIME, -1],
        "f_set_int64": [-1, 2**62, 0],
    },
}


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> FeastOnline:
    return feast_online(tmp_path_factory.mktemp("feast"), redis_url, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def client(online: FeastOnline, redis_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(online.plan, redis_url) as client:
        yield client


def entity_key(view: str, key: tuple[str, int]) -> dict[str, Any]:
    return {name: part for name, part in zip(("place", "user"), key, strict=True) if name in key_names(view)}


def key_names(view: str) -> list[str]:
    return [key.name for key in KEYS[view]]


def write_with_headrace(redis_url: str, online: FeastOnline, table: Table) -> None:
    keys = {
        "place": [place.encode() for place, _ in table],
        "user": np.array([user for _, user in table], np.int64),
    }
    features = []
    for feature in FEATURES:
        values = [row[feature.name] for row in table.values()]
        features.append((column(feature.dtype, values), np.array([v is not None for v in values])))

    async def write() -> None:
        sink = RedisOnlineSink(redis_url, online.plan)
        for view in KEYS:
            own = [keys[name] for name in key_names(view)]
            await sink.write_batch_view(view, own, features, np.full(len(table), NOW_MS * 1000))
        await sink.close()

    asyncio.run(write())


def write_with_feast(online: FeastOnline, table: Table) -> None:
    store = online.store
    for view in KEYS:
        data = []
        for key, row in table.items():
            names = key_names(view)
            parts = [
                Value(string_val=part) if name == "place" else Value(int64_val=part)
                for name, part in entity_key(view, key).items()
            ]
            features = {f.name: proto(f.dtype, row[f.name]) for f in FEATURES}
            at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
            data.append((EntityKey(join_keys=names, entity_values=parts), features, at, None))
        provider = store._get_provider()
        provider.online_write_batch(store.config, store.get_feature_view(view), data, None)


def take_everything(redis_url: str, project: str) -> dict[bytes, Any]:
    """Every hash of the project, which is deleted."""
    return {
        key: {name: in_order(FIELD_TYPES.get(name, "Bytes"), raw) for name, raw in row.items()}
        for key, row in take_hashes(redis_url, project).items()
    }


def one_row_per_entity(table: Table) -> Table:
    """Feast keeps the first of several rows of an entity at one time, Headrace the last: have no two."""
    rows: dict[tuple[str, int], Row] = {}
    for key, row in table.items():
        if all(key[0] != place and key[1] != user for place, user in rows):
            rows[key] = row
    return rows


@given(table=TABLE)
@example(table=EDGES)
@tries(20)
def test_the_same_hashes_are_stored(online: FeastOnline, redis_url: str, table: Table) -> None:
    table = one_row_per_entity(table)
    take_everything(redis_url, online.plan.project)
    write_with_feast(online, table)
    feasts = take_everything(redis_url, online.plan.project)
    write_with_headrace(redis_url, online, table)
    assert take_everything(redis_url, online.plan.project) == feasts


@pytest.mark.parametrize("writer", ["Feast", "Headrace"])
@given(table=TABLE, missing=st.tuples(PLACES, USERS))
@example(table=EDGES, missing=("nowhere", 4))
@tries(10)
def test_feast_and_the_client_read_the_same(
    online: FeastOnline,
    redis_url: str,
    client: FeatureClient,
    writer: str,
    table: Table,
    missing: tuple[str, int],
) -> None:
    take_everything(redis_url, online.plan.project)
    if writer == "Feast":
        write_with_feast(online, one_row_per_entity(table))
    else:
        write_with_headrace(redis_url, online, one_row_per_entity(table))
    keys = [missing, *table, missing]
    entity_rows = [{"place": place, "user": user} for place, user in keys]
    names = [f"{view}:{feature.name}" for view in KEYS for feature in FEATURES]
    feasts = online.store.get_online_features(names, entity_rows, full_feature_names=True).to_dict()
    ours = client.get_online_features("everything", entity_rows)
    assert ours.columns.keys() == feasts.keys() - {"place", "user"}
    for name, values in ours.columns.items():
        assert list(map(shown, values)) == list(map(shown, feasts[name])), name
    assert client.get_online_features(names, entity_rows).columns.keys() == ours.columns.keys()


async def test_the_async_client_reads_the_same(
    online: FeastOnline, redis_url: str, client: FeatureClient
) -> None:
    take_everything(redis_url, online.plan.project)
    await asyncio.to_thread(write_with_headrace, redis_url, online, EDGES)
    columns = {"place": ["EWR", "LGA"], "user": [-1, 5]}
    async with AsyncFeatureClient(online.plan, redis_url) as other:
        found = await other.get_online_features("everything", columns)
    assert found == client.get_online_features("everything", columns)
    assert found.statuses["by_both__f_bool"] == [FieldStatus.NULL_VALUE, FieldStatus.NOT_FOUND]
