"""Every reader of a batch table finds the same row: online and for training, Headrace and Feast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from hypothesis import given
from hypothesis import strategies as st

from headrace import FeatureClient
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.schemas.plan import Plan
from tests.support.properties import tries

OWN_STORE = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"
YAML = """
project: {project}
provider: local
registry: data/registry.db
entity_key_serialization_version: 3
offline_store:
  type: {store}
online_store:
  type: redis
  connection_string: {redis}
"""
DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

shop = Entity(name="shop", join_keys=["ID"], value_type=ValueType.INT64)
sales = FileSource(
    name="sales",
    path="data/sales",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
    field_mapping={"Ts": "event_timestamp", "Put": "created", "amount": "Total"},
)
NAMES = ["x", "X", "id", "Total"]
sold = FeatureView(
    name="sold",
    entities=[shop],
    source=sales,
    ttl=timedelta(0),
    schema=[Field(name="ID", dtype=Int64), *(Field(name=name, dtype=Int64) for name in NAMES),
            Field(name="region", dtype=String), Field(name="price", dtype=Float64),
            Field(name="open", dtype=Bool), Field(name="Note", dtype=String),
            Field(name="seen", dtype=UnixTimestamp), Field(name="last", dtype=Array(Int64))],
)
service = FeatureService(name="service", features=[sold])
"""
NUMBERS = ["x", "X", "id", "Total"]
OTHERS = ["price", "open", "Note", "seen", "last"]  # null in some rows
FEATURES = [*NUMBERS, "region", *OTHERS]
START = datetime(2024, 3, 30, tzinfo=UTC)
SHOPS = (1, 2, 3)


class Row(NamedTuple):
    """One row of the table; times in hours since `START`."""

    shop: int
    hour: int
    put: int | None
    value: int
    region: str


rows = st.lists(
    st.builds(
        Row, st.sampled_from(SHOPS[:2]), st.integers(0, 3), st.none() | st.integers(0, 2), st.integers(0, 99),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip
times = st.sampled_from([("us", None), ("us", "UTC"), ("ns", "Asia/Tokyo"), ("ms", "Europe/Berlin")])


class Scene(NamedTuple):
    """A registered repository, its plan and its Redis."""

    repo: Path
    plan: Plan
    redis_url: str

    def write(self, table: list[Row], time: tuple[str, str | None]) -> None:
        """Write the table in two folders, as Hive does; the order of rows is that of the folders."""
        for region in "ab":
            part = [row for row in table if row.region == region]
            folder = self.repo / "data" / "sales" / f"region={region}"
            folder.mkdir(parents=True, exist_ok=True)
            values = pa.array([row.value for row in part], pa.int64())
            columns = {
                "ID": pa.array([row.shop for row in part], pa.int64()),
                "Ts": pa.array([START + timedelta(hours=row.hour) for row in part], pa.timestamp(*time)),
                "Put": pa.array(
                    [None if row.put is None else START + timedelta(days=row.put) for row in part],
                    pa.timestamp("us", "UTC"),
                ),
                "amount": values,
                **{name: pa.compute.add(values, 100 * n) for n, name in enumerate(NUMBERS[:3], 1)},
            }
            kinds = (pa.float64(), pa.bool_(), pa.string(), pa.timestamp("s", "UTC"), pa.list_(pa.int64()))
            others = [other_values(row.value) for row in part]
            for n, (name, kind) in enumerate(zip(OTHERS, kinds, strict=True)):
                columns[name] = pa.array([values[n] for values in others], kind)
            pq.write_table(pa.table(columns), folder / "0.parquet")


def other_values(value: int) -> tuple[Any, ...]:
    """The features of `OTHERS`, of which a value in seven has none."""
    if value % 7 == 3:
        return (None,) * len(OTHERS)
    return value / 4, value % 2 == 0, f"Note {value}", START + timedelta(seconds=value), [value, value + 1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Scene:
    repo = tmp_path_factory.mktemp("shops")
    (repo / "data").mkdir()
    address = redis_url.removeprefix("redis://").split("/")[0]
    (repo / "feature_store.yaml").write_text(
        YAML.format(project="latest_row", redis=address, store=OWN_STORE)
    )
    (repo / "features.py").write_text(DEFINITIONS)
    register(repo)
    return Scene(repo, compile_features(repo).plan(), redis_url)


def latest(table: list[Row], shop: int, hour: int) -> dict[str, Any]:
    """The features of the row that counts, by the rule as documents state it."""
    ordered = [row for region in "ab" for row in table if row.region == region]
    best: Row | None = None
    for row in ordered:
        if row.shop == shop and row.hour <= hour:
            put = -1 if row.put is None else row.put
            if best is None or (row.hour, put) >= (best.hour, -1 if best.put is None else best.put):
                best = row
    if best is None:
        return dict.fromkeys(FEATURES)
    numbers = (best.value + 100, best.value + 200, best.value + 300, best.value)
    return dict(zip(FEATURES, (*numbers, best.region, *other_values(best.value)), strict=True))


def plain(answer: dict[str, list[Any]], count: int, prefix: str = "") -> list[dict[str, Any]]:
    return [{name: _plain(answer[prefix + name][n]) for name in FEATURES} for n in range(count)]


def _plain(value: Any) -> Any:
    """Values that compare: lists of frames are arrays, times have zones."""
    if isinstance(value, list | tuple | np.ndarray):
        return [int(element) for element in value]
    if pd.isna(value):
        return None
    return pd.Timestamp(value).to_pydatetime() if isinstance(value, datetime) else value


@tries(15)
@given(table=rows, time=times)
def test_every_reader_finds_the_row_that_counts(scene: Scene, table: list[Row], time: Any) -> None:
    scene.write(table, time)
    materialize(scene.repo, scene.plan, scene.redis_url, end=START + timedelta(hours=9))
    keys = [{"ID": shop} for shop in SHOPS if any(row.shop == shop for row in table)]
    expected = [latest(table, key["ID"], 9) for key in keys]
    store = FeatureStore(repo_path=str(scene.repo))
    names = [f"sold:{name}" for name in FEATURES]
    with FeatureClient(scene.plan, scene.redis_url) as client:
        assert plain(client.get_online_features("service", keys).to_dict(), len(keys), "sold__") == expected
    assert plain(store.get_online_features(names, keys).to_dict(), len(keys)) == expected

    asked = [(shop, hour) for shop in SHOPS for hour in (0, 2, 9)]
    expected = [latest(table, shop, hour) for shop, hour in asked]
    entities = pd.DataFrame(
        {"ID": [shop for shop, _ in asked], "event_timestamp": [START + timedelta(hours=h) for _, h in asked]}
    )
    dataset = as_of_event_time(
        scene.plan, "service", pa.Table.from_pandas(entities), scene.repo / "data" / "log", scene.repo
    )
    assert plain(dataset.to_pydict(), len(asked), "sold__") == expected
    found = store.get_historical_features(entities, names).to_df()
    assert plain(found.to_dict("list"), len(asked)) == expected


distinct_rows = st.lists(
    st.builds(
        Row, st.sampled_from(SHOPS[:2]), st.integers(0, 3), st.integers(0, 2), st.integers(0, 99),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row.shop, row.hour),
)  # fmt: skip


@tries(6)
@given(table=distinct_rows, time=times.filter(lambda time: time[1] is not None))
def test_where_feasts_own_store_has_an_answer_it_is_ours(scene: Scene, table: list[Row], time: Any) -> None:
    """Of rows with one event time its answer depends on the files, whatever their created times: it sorts by
    one after the other, and the second sort does not keep the order of the first.

    Times without a zone it cannot always compare.
    """
    scene.write(table, time)
    yaml = scene.repo / "feature_store.yaml"
    dask = scene.repo / "dask.yaml"
    dask.write_text(yaml.read_text().replace(OWN_STORE, "dask"))
    store = FeatureStore(repo_path=str(scene.repo), fs_yaml_file=dask)
    asked = [(shop, hour) for shop in SHOPS[:2] for hour in (3, 9) if any(r.shop == shop for r in table)]
    entities = pd.DataFrame(
        {"ID": [shop for shop, _ in asked], "event_timestamp": [START + timedelta(hours=h) for _, h in asked]}
    )
    names = [f"sold:{name}" for name in FEATURES]
    found = store.get_historical_features(entities, names).to_df()
    found = found.sort_values(["ID", "event_timestamp"])
    assert plain(found.to_dict("list"), len(asked)) == [latest(table, shop, hour) for shop, hour in asked]
