"""Batch views: from their tables, through Feast, into rows that Feast and the client read alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import DefinitionError
from headrace.schemas.plan import Plan
from tests.support.carrier_repository import AIRLINES, DAY
from tests.support.feast_online import point_to

NAMES = [f"airlines:{name}" for name in ("full_name", "fleet", "share", "founded", "alliance")]
ROWS = [{"carrier": name} for name in ("UA", "AA", "ZZ", "none")]


@pytest.fixture
def airlines(repo: Path, redis_url: str) -> Path:
    """The repository with its table, its online store the Redis of the tests."""
    point_to(redis_url, repo)
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    return repo


def test_stock_feast_and_the_client_read_what_was_materialised(airlines: Path, redis_url: str) -> None:
    register(airlines)
    plan = compile_features(airlines).plan()
    assert materialize(airlines, plan, redis_url) == {"airlines": 3}
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(NAMES, ROWS)
    assert found.columns["airlines__full_name"] == ["United Air Lines", "American é", None, None]
    assert found.columns["airlines__fleet"] == [3, 2, None, None]
    assert found.columns["airlines__share"] == [None, 0.25, 0.5, None]
    assert found.columns["airlines__founded"][0] == datetime(1926, 4, 6, tzinfo=UTC)
    assert found.columns["airlines__alliance"] == [True, False, None, None]
    assert found.provenance["airlines"] == [None] * 4
    store = FeatureStore(repo_path=str(airlines))
    feasts = store.get_online_features(NAMES, ROWS, full_feature_names=True).to_dict()
    assert found.to_dict() == {name: feasts[name] for name in found.to_dict()}


def test_feasts_own_materialisation_stores_the_same_values(airlines: Path, redis_url: str) -> None:
    register(airlines)
    plan = compile_features(airlines).plan()
    store = FeatureStore(repo_path=str(airlines))
    store.materialize(DAY, datetime(2014, 1, 1, tzinfo=UTC), feature_views=["airlines"])
    with FeatureClient(plan, redis_url) as client:
        feasts = client.get_online_features(NAMES, ROWS)
        materialize(airlines, plan, redis_url)
        assert client.get_online_features(NAMES, ROWS) == feasts


def test_rows_after_the_end_are_not_seen(airlines: Path, redis_url: str) -> None:
    plan = compile_features(airlines).plan()
    materialize(airlines, plan, redis_url, end=datetime(2013, 3, 1))
    with FeatureClient(plan, redis_url) as client:
        assert client.get_online_features(NAMES[:1], ROWS[:1]).columns == {"airlines__full_name": ["United"]}


def test_reading_does_not_depend_on_registration(airlines: Path, redis_url: str) -> None:
    plan = compile_features(airlines).plan()
    assert materialize(airlines, plan, redis_url) == {"airlines": 3}
    assert not (airlines / "data" / "registry.db").exists()


def test_rows_that_fail_what_is_expected_of_a_feature_are_told_and_written(
    airlines: Path, redis_url: str, replace: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    tags = {"headrace.expect.fleet": "max=2 nulls=0.1", "headrace.expect.full_name": "in='American é'"}
    replace("ttl=timedelta(0),", f"ttl=timedelta(0), tags={tags},")
    plan = compile_features(airlines).plan()
    assert materialize(airlines, plan, redis_url) == {"airlines": 3}
    assert [record.getMessage() for record in caplog.records if "expectations" in record.getMessage()] == [
        "expectations: view airlines: 1 of 3 fail fleet max=2",
        "expectations: view airlines: 1 of 3 fail fleet nulls=0.1",
        "expectations: view airlines: 1 of 3 fail full_name in=American é",
    ]


def table_of(repo: Path, *rows: tuple[str, int, datetime]) -> None:
    carriers, fleets, times = zip(*rows, strict=True)
    columns = {name: pa.nulls(len(rows), column.type) for name, column in AIRLINES.items()}
    columns |= {"carrier": pa.array(carriers), "fleet": pa.array(fleets, pa.int32())}
    pq.write_table(
        pa.table(columns | {"valid_from": pa.array(times, pa.timestamp("us", "UTC"))}),
        repo / "data" / "airlines.parquet",
    )


def fleets(plan: Plan, redis_url: str) -> list[int | None]:
    with FeatureClient(plan, redis_url) as client:
        rows = [{"carrier": name} for name in ("UA", "AA")]
        return client.get_online_features(["airlines:fleet"], rows).columns["airlines__fleet"]


def test_a_run_goes_on_where_the_last_one_ended(airlines: Path, redis_url: str) -> None:
    plan = compile_features(airlines).plan()
    first = [("UA", 1, DAY), ("AA", 2, DAY.replace(day=2))]
    table_of(airlines, *first)

    def run(day: int, overlap: timedelta = timedelta(0), plan: Plan = plan) -> int:
        end = DAY.replace(day=day)
        return materialize(airlines, plan, redis_url, end, incremental=True, overlap=overlap)["airlines"]

    assert run(5) == 2
    assert run(6) == 0
    table_of(airlines, *first, ("UA", 3, DAY.replace(day=7)), ("AA", 4, DAY.replace(day=4)))
    assert run(8) == 1  # the one that came late is behind
    assert fleets(plan, redis_url) == [3, 2]
    assert run(9, overlap=timedelta(days=5)) == 2
    assert fleets(plan, redis_url) == [3, 4]
    assert run(5, overlap=timedelta(days=5)) == 0  # an earlier end takes nothing back
    assert fleets(plan, redis_url) == [3, 4]
    assert run(10) == 0
    assert materialize(airlines, plan, redis_url, DAY.replace(day=10))["airlines"] == 2


def test_a_changed_view_is_read_whole(airlines: Path, redis_url: str) -> None:
    plan = compile_features(airlines).plan()
    assert materialize(airlines, plan, redis_url, incremental=True) == {"airlines": 3}
    assert materialize(airlines, plan, redis_url, incremental=True) == {"airlines": 0}
    (view,) = plan.batch_views
    fewer = plan.model_copy(
        update={"batch_views": (view.model_copy(update={"features": view.features[:2]}),)}
    )
    assert materialize(airlines, fewer, redis_url, incremental=True) == {"airlines": 3}


def test_a_view_that_fails_keeps_no_other_from_being_written_and_is_tried_again(
    airlines: Path, redis_url: str, append: Callable[[str], None]
) -> None:
    append(
        """
        fleet_table = FileSource(name="f", path="data/fleets.parquet", timestamp_field="valid_from")
        aaa = FeatureView(
            name="aaa",
            entities=[carrier],
            schema=[Field(name="carrier", dtype=String), Field(name="fleet", dtype=Int32)],
            source=fleet_table,
        )
        """
    )
    plan = compile_features(airlines).plan()
    with pytest.raises(DefinitionError, match="'aaa': its table cannot be read"):
        materialize(airlines, plan, redis_url, incremental=True)
    assert fleets(plan, redis_url) == [3, 2]
    pq.write_table(pa.table(AIRLINES), airlines / "data" / "fleets.parquet")
    assert materialize(airlines, plan, redis_url, incremental=True) == {"aaa": 3, "airlines": 0}
