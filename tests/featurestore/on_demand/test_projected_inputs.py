"""On-demand views of inputs with one name, of mapped views, and under another name: Feast's values."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import DefinitionError, HeadraceError
from headrace.schemas.plan import Plan
from tests.support.matches import DAY, materialized, registered_matches

ON_DEMAND = """
import pandas as pd


@on_demand_feature_view(
    sources=[teams[["goals"]], squads[["goals"]]],
    schema=[Field(name="lacking", dtype=Float64)],
    mode="pandas",
)
def gap(df):
    return pd.DataFrame({"lacking": 1.0 * (df["squads__goals"] - df["teams__goals"])})


@on_demand_feature_view(
    sources=[teams[["goals"]], squads[["goals"]]], schema=[Field(name="share", dtype=Float64)], mode="python"
)
def part(inputs):
    pairs = zip(inputs["teams__goals"], inputs["squads__goals"])
    shares = [None if None in pair else pair[0] / pair[1] for pair in pairs]
    return {"share": shares, "part__share": shares}  # Feast reads full names from such a function alone


@on_demand_feature_view(
    sources=[
        teams.with_join_key_map(HOME)[["form"]],
        duels.with_join_key_map({"team": "home_team", "rival": "away_team"}),
    ],
    schema=[Field(name="chance", dtype=Float64)],
    mode="pandas",
)
def hope(df):
    return pd.DataFrame({"chance": df["teams__form"] * df["duels__won"]})


@on_demand_feature_view(
    sources=[teams[["goals"]], squads[["goals"]]], schema=[Field(name="n", dtype=Int64)], mode="python"
)
def vague(inputs):
    return {"n": inputs["goals"]}


gaps = FeatureService(name="gaps", features=[gap, squads])
parts = FeatureService(name="parts", features=[part])
named = FeatureService(name="named", features=[gap.with_name("away_gap")])
hopes = FeatureService(name="hopes", features=[hope])
vagueness = FeatureService(name="vagueness", features=[vague])
"""
NOW_MS = int(DAY.timestamp() * 1000) + 86_400_000
TEAMS = {"team": ["a", "b", "c", "nobody"]}
ROWS: dict[str, dict[str, list[Any]]] = {
    "gaps": TEAMS,
    "parts": TEAMS,
    "named": TEAMS,
    "hopes": {"home_team": ["a", "b", "c"], "away_team": ["b", "a", "a"]},
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    return registered_matches(tmp_path_factory.mktemp("projected") / "repo", redis_url, ON_DEMAND)


@pytest.fixture(scope="module")
def plan(repo: Path, redis_url: str) -> Plan:
    return materialized(repo, redis_url)


@pytest.mark.parametrize("service", list(ROWS))
async def test_both_clients_give_the_columns_of_feast(
    repo: Path, plan: Plan, redis_url: str, service: str
) -> None:
    store, rows = FeatureStore(repo_path=str(repo)), ROWS[service]
    entity_rows = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    asked = store.get_feature_service(service)
    feasts = store.get_online_features(asked, entity_rows, full_feature_names=True).to_dict()
    with FeatureClient(plan, redis_url, repo_dir=repo) as client:
        ours = client.get_online_features(service, rows, now_ms=NOW_MS)
    assert ours.to_dict().keys() == feasts.keys()
    for name, values in ours.to_dict().items():
        assert values == [None if value != value else value for value in feasts[name]], name
    async with AsyncFeatureClient(plan, redis_url, repo_dir=repo) as other:
        assert await other.get_online_features(service, rows, now_ms=NOW_MS) == ours


@pytest.mark.parametrize("service", ["gaps", "hopes"])
def test_a_training_set_has_the_columns_of_feast(
    repo: Path, plan: Plan, tmp_path: Path, service: str
) -> None:
    rows = {name: values[:3] for name, values in ROWS[service].items()}
    asked = pd.DataFrame({**rows, "event_timestamp": [DAY + timedelta(hours=n) for n in range(3)]})
    asked["event_timestamp"] = asked["event_timestamp"].astype("datetime64[us, UTC]")
    store = FeatureStore(repo_path=str(repo))
    job = store.get_historical_features(asked, store.get_feature_service(service), full_feature_names=True)
    feasts = job.to_df().sort_values("event_timestamp", ignore_index=True)
    ours = as_of_event_time(plan, service, pa.Table.from_pandas(asked), tmp_path, repo)
    for name in ours.column_names:
        theirs = [None if pd.isna(value) else value for value in feasts[name]]
        assert ours[name].to_pylist() == theirs, name


def test_an_on_demand_view_under_another_name_is_in_training_sets(
    repo: Path, plan: Plan, tmp_path: Path
) -> None:
    """Where Feast 0.67 does not find the name."""
    asked = pa.table({"team": ["a"], "event_timestamp": pa.array([DAY], pa.timestamp("us", "UTC"))})
    found = as_of_event_time(plan, "named", asked, tmp_path, repo)
    assert found.column_names == ["team", "event_timestamp", "away_gap__lacking"]
    assert found["away_gap__lacking"].to_pylist() == [29.0]


def test_a_name_that_two_inputs_have_is_none_of_them(repo: Path, plan: Plan, redis_url: str) -> None:
    """Feast gives the one or the other, as its registry happens to order them."""
    with (
        FeatureClient(plan, redis_url, repo_dir=repo) as client,
        pytest.raises(DefinitionError, match="'vague': its function raises KeyError: 'goals'"),
    ):
        client.get_online_features("vagueness", {"team": ["a"]})


def test_a_list_of_features_reads_no_view_in_two_ways(repo: Path, plan: Plan, redis_url: str) -> None:
    with (
        FeatureClient(plan, redis_url, repo_dir=repo) as client,
        pytest.raises(
            HeadraceError,
            match="feature 'teams:form' and feature 'teams:form by team=home_team' are both called",
        ),
    ):
        client.get_online_features(["teams:form", "hope:chance"], {"team": ["a"]})
