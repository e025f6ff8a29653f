"""Views under other names and by other columns: training sets are those of Feast."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.entities import join_keys_of, read_entities
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.schemas.errors import HeadraceError
from tests.support.matches import DAY, write_matches

STORE = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"
NO_REDIS = "redis://127.0.0.1:1/0"
# No two rows have one time and the same columns, and none has only rows above the ttl: dask loses such rows.
ASKED: dict[str, list[Any]] = {
    "home_team": ["a", "b", "c", "a"],
    "away_team": ["b", "a", "a", "c"],
    "team": ["b", "a", "b", "c"],
    "rival": ["a", "b", "a", "b"],
    "event_timestamp": [DAY, DAY + timedelta(hours=1), DAY + timedelta(days=2), DAY + timedelta(days=3)],
}


@pytest.mark.parametrize("store", ["dask", STORE])
@pytest.mark.parametrize("service", ["match", "mapped", "renamed", "swapped", "seasons", "context"])
def test_a_training_set_has_the_columns_of_feast(
    tmp_path: Path, project: str, service: str, store: str
) -> None:
    repo = write_matches(tmp_path / "repo", project, NO_REDIS, store)
    register(repo)
    plan = compile_features(repo).plan()
    feast_store = FeatureStore(repo_path=str(repo))
    keys = [key.name for key in join_keys_of(plan, service)]
    asked = pd.DataFrame({name: ASKED[name] for name in (*keys, "event_timestamp")})
    asked["event_timestamp"] = asked["event_timestamp"].astype("datetime64[us, UTC]")
    job = feast_store.get_historical_features(
        asked, feast_store.get_feature_service(service), full_feature_names=True
    )
    feasts = job.to_df().sort_values("event_timestamp", ignore_index=True)
    ours = as_of_event_time(plan, service, pa.Table.from_pandas(asked), tmp_path, repo)
    assert ours.column_names == list(feasts.columns)
    for name in ours.column_names:
        theirs = [None if pd.isna(value) else value for value in feasts[name]]
        assert ours[name].to_pylist() == theirs, name


def test_entities_are_read_by_the_columns_of_the_service(tmp_path: Path, project: str) -> None:
    repo = write_matches(tmp_path / "repo", project, NO_REDIS)
    plan = compile_features(repo).plan()
    assert [key.name for key in join_keys_of(plan, "match")] == ["home_team", "away_team", "team"]
    file = tmp_path / "entities.csv"
    file.write_text("home_team,event_timestamp\n007,2024-01-01T12:00:00\n")
    asked = read_entities(file, join_keys_of(plan, "mapped"))
    assert asked["home_team"].to_pylist() == ["007"]
    with pytest.raises(HeadraceError, match=r"column 'home_team' is not among those asked for \(team, "):
        as_of_event_time(plan, "mapped", asked.rename_columns(["team", "event_timestamp"]), tmp_path, repo)
