"""What Feast's registry holds after `register`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.schemas.errors import DefinitionError
from headrace.streams.connections.redis import redis_client
from tests.support.feast_online import connection_string, point_to


@pytest.fixture
def reachable(repo: Path, redis_url: str) -> Path:
    """The repository, with an online store that Feast can reach."""
    point_to(redis_url, repo)
    return repo


def test_everything_is_registered_and_may_be_registered_again(
    reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = os.getcwd()
    for _ in range(2):
        register(reachable)
        store = FeatureStore(repo_path=str(reachable))
        assert [view.name for view in store.list_stream_feature_views()] == ["carrier_delays"]
        assert [view.name for view in store.list_batch_feature_views()] == ["airlines"]
        assert [service.name for service in store.list_feature_services()] == ["delays"]
    assert os.getcwd() == here
    assert capsys.readouterr().out == ""


def test_what_is_gone_from_the_files_is_gone_from_the_registry(
    reachable: Path, replace: Callable[[str, str], None]
) -> None:
    register(reachable)
    replace('service = FeatureService(name="delays"', 'service = FeatureService(name="others"')
    register(reachable)
    store = FeatureStore(repo_path=str(reachable))
    assert [service.name for service in store.list_feature_services()] == ["others"]


EXTRA = """
fleets = FeatureView(
    name="fleets",
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name="planes", dtype=Int64)],
    source=FileSource(name="fleets_table", path="data/fleets.parquet", timestamp_field="valid_from"),
)
"""


def test_rows_of_a_view_that_is_gone_are_deleted_in_the_redis_in_use(
    repo: Path, append: Callable[[str], None], redis_url: str
) -> None:
    before = (repo / "features.py").read_text()
    append(EXTRA)
    with redis_client(redis_url) as online:  # the one that `feature_store.yaml` names is not there
        register(repo, online=online)
        store = FeatureStore(repo_path=str(repo))
        store.config.online_store.connection_string = connection_string(redis_url)
        row = {"carrier": ["UA"], "planes": [7], "valid_from": [datetime(2026, 1, 1, tzinfo=UTC)]}
        store.write_to_online_store("fleets", pd.DataFrame(row))
        (key,) = online.scan_iter(b"*" + store.project.encode())
        (repo / "features.py").write_text(before)
        register(repo, online=online)
        assert not online.exists(key)


def test_registration_does_not_change_the_plan(reachable: Path) -> None:
    before = compile_features(reachable).plan()
    register(reachable)
    assert compile_features(reachable).plan() == before


def test_a_repository_that_cannot_be_read_is_not_registered(
    reachable: Path, replace: Callable[[str, str], None]
) -> None:
    replace("carrier = Entity(", "carrier = Entityy(")
    with pytest.raises(DefinitionError, match=r"features\.py: line \d+: NameError"):
        register(reachable)
    assert not (reachable / "data" / "registry.db").exists()
