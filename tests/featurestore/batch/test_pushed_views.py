"""`materialize` of a view that rows are pushed to, as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace import FeatureClient
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.schemas.plan import Plan
from tests.support.feast_online import take_hashes
from tests.support.matches import DAY, PUSHED_SQUADS, write_matches


@pytest.fixture
def repo(tmp_path: Path, project: str, redis_url: str) -> Path:
    return write_matches(tmp_path / "repo", project, redis_url, more=PUSHED_SQUADS)


@pytest.fixture
def plan(repo: Path) -> Plan:
    return compile_features(repo).plan()


@pytest.fixture
def client(plan: Plan, redis_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(plan, redis_url) as client:
        yield client


def goals(client: FeatureClient) -> list[Any]:
    found = client.get_online_features(["pushed_squads:goals"], {"team": ["a", "b"]})
    return found.columns["pushed_squads__goals"]


def push(client: FeatureClient, goals: int, days: int) -> None:
    client.push("results", [{"team": "a", "goals": goals, "at": DAY + timedelta(days=days)}])


def test_a_later_pushed_row_stays_and_an_earlier_one_gives_way(
    repo: Path, plan: Plan, redis_url: str, client: FeatureClient
) -> None:
    push(client, 1, days=-1)
    assert materialize(repo, plan, redis_url)["pushed_squads"] == 2
    assert goals(client) == [30, 40]
    push(client, 2, days=-1)
    assert goals(client) == [30, 40]
    push(client, 3, days=1)
    assert materialize(repo, plan, redis_url)["pushed_squads"] == 1
    assert goals(client) == [3, 40]


def test_a_table_that_is_corrected_is_written_over_the_pushed_row_of_the_same_time(
    repo: Path, plan: Plan, redis_url: str, client: FeatureClient
) -> None:
    """As for every other view; Feast would keep the row that is there."""
    push(client, 1, days=0)
    assert materialize(repo, plan, redis_url)["pushed_squads"] == 2
    assert goals(client) == [30, 40]
    corrected = pa.table({"team": ["a"], "goals": [31], "at": [DAY]})
    pq.write_table(corrected, repo / "data" / "squads.parquet")
    materialize(repo, plan, redis_url)
    push(client, 1, days=0)
    assert goals(client) == [31, 40]


def test_a_pushed_row_is_the_bytes_that_materialize_writes(
    repo: Path, plan: Plan, redis_url: str, client: FeatureClient
) -> None:
    only = plan.model_copy(
        update={"batch_views": tuple(view for view in plan.batch_views if view.name == "pushed_squads")}
    )
    materialize(repo, only, redis_url)
    written = take_hashes(redis_url, plan.project)
    rows = [{"team": team, "goals": goals, "at": DAY} for team, goals in (("a", 30), ("b", 40))]
    client.push("results", rows)
    assert take_hashes(redis_url, plan.project) == written
