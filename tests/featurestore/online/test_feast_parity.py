"""Rows that Headrace writes are the rows that Feast writes, and both read the same values from them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.redis_codec.layout import feature_field
from tests.support.feast_online import FEATURES, KEYS, FeastOnline, feast_online, take_hashes
from tests.support.feature_values import in_order, proto, shown
from tests.support.online_tables import (
    EDGES,
    NOW_MS,
    PLACES,
    TABLE,
    USERS,
    Row,
    Table,
    entity_key,
    key_names,
    write_with_headrace,
)
from tests.support.properties import tries

FIELD_TYPES = {feature_field(view, f.name): f.dtype for view in KEYS for f in FEATURES}


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> FeastOnline:
    return feast_online(tmp_path_factory.mktemp("feast"), redis_url, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def client(online: FeastOnline, redis_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(online.plan, redis_url) as client:
        yield client


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
