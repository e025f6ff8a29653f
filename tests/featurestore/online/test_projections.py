"""Views under other names and by other columns: the client reads what Feast reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import HeadraceError, UnknownNameError
from headrace.schemas.plan import Plan
from tests.support.matches import DAY, registered_matches

NOW_MS = int(DAY.timestamp() * 1000) + 86_400_000
BOTH = """
both = FeatureService(name="both", features=[teams, teams.with_name("away").with_join_key_map(AWAY)])
"""
ROWS: dict[str, list[dict[str, Any]]] = {
    "match": [
        {"home_team": "a", "away_team": "b", "team": "b"},
        {"home_team": "b", "away_team": "a", "team": "a"},
        {"home_team": "c", "away_team": "nobody", "team": "c"},
        {"home_team": "a", "away_team": "b", "team": "b"},
    ],
    "seasons": [{"team": "a"}, {"team": "b"}],
    "context": [{"home_team": "a"}, {"home_team": "nobody"}],
    "mapped": [{"home_team": "a"}, {"home_team": "nobody"}],
    "renamed": [{"team": "b"}],
    "swapped": [{"team": "a", "rival": "b"}, {"team": "b", "rival": "a"}],
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    return registered_matches(tmp_path_factory.mktemp("matches") / "repo", redis_url, BOTH)


@pytest.fixture(scope="module")
def plan(repo: Path, redis_url: str) -> Plan:
    plan = compile_features(repo).plan()
    assert materialize(repo, plan, redis_url) == {"duels": 2, "league": 1, "squads": 2, "teams": 3}
    return Plan.from_json(plan.to_json())


@pytest.mark.parametrize("service", list(ROWS))
async def test_both_clients_give_the_columns_of_feast(
    repo: Path, plan: Plan, redis_url: str, service: str
) -> None:
    store = FeatureStore(repo_path=str(repo))
    asked, rows = store.get_feature_service(service), ROWS[service]
    if service == "match":  # Feast takes a column 'team' for 'home_team' as well, where it comes later
        rows = [dict(sorted(row.items(), reverse=True)) for row in rows]
    feasts = store.get_online_features(asked, rows, full_feature_names=True).to_dict()
    with FeatureClient(plan, redis_url) as client:
        ours = client.get_online_features(asked, rows, now_ms=NOW_MS)
    passed_on = feasts.keys() - ours.to_dict().keys()  # Feast's answer has every join key of the project
    assert passed_on == ({"team"} if service == "seasons" else set())
    assert ours.to_dict() == {name: feasts[name] for name in feasts if name not in passed_on}
    async with AsyncFeatureClient(plan, redis_url) as other:
        assert await other.get_online_features(service, rows, now_ms=NOW_MS) == ours


def test_a_mapped_column_is_read_whatever_else_a_row_has(plan: Plan, redis_url: str) -> None:
    """Where Feast takes the later of the columns 'home_team' and 'team' for the home team."""
    with FeatureClient(plan, redis_url) as client:
        for row in ({"home_team": "a", "team": "b"}, {"team": "b", "home_team": "a"}):
            assert client.get_online_features("mapped", [row], now_ms=NOW_MS).columns["teams__goals"] == [4]


def test_a_view_may_be_read_as_it_is_and_under_another_name(plan: Plan, redis_url: str) -> None:
    """Which Feast 0.67 fails on, since it compares a name with None."""
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features("both", [{"team": "a", "away_team": "b"}], now_ms=NOW_MS)
    assert found.rows() == [
        {
            "team": "a",
            "away_team": "b",
            "teams__goals": 4,
            "teams__form": 0.4,
            "away__goals": 2,
            "away__form": 0.2,
        }
    ]
    assert found.provenance == {"teams": [None], "away": [None]}


def test_statuses_are_of_each_name(plan: Plan, redis_url: str) -> None:
    rows = [{"home_team": "c", "away_team": "nobody", "team": "a"}]
    with FeatureClient(plan, redis_url) as client:
        statuses = client.get_online_features("match", rows, now_ms=NOW_MS).statuses
        late = client.get_online_features("match", rows, now_ms=NOW_MS + 10 * 86_400_000).statuses
    assert statuses["home__goals"] == [FieldStatus.NULL_VALUE]
    assert statuses["home__form"] == [FieldStatus.PRESENT]
    assert statuses["away__form"] == [FieldStatus.NOT_FOUND]
    assert late["home__form"] == [FieldStatus.OUTSIDE_MAX_AGE]
    assert late["squads__goals"] == [FieldStatus.PRESENT]


def test_what_cannot_be_answered_names_the_column_or_feature(plan: Plan, redis_url: str) -> None:
    with FeatureClient(plan, redis_url) as client:
        with pytest.raises(UnknownNameError, match=r"not found: 'home_team'; did you mean 'team'"):
            client.get_online_features("mapped", [{"team": "a"}])
        with pytest.raises(HeadraceError, match=r"join key 'home_team' takes text; row 0 has 7"):
            client.get_online_features("mapped", [{"home_team": 7}])
        with pytest.raises(HeadraceError, match=r"feature 'goals' is asked for twice"):
            client.get_online_features("match", ROWS["match"], full_feature_names=False)
        with pytest.raises(UnknownNameError, match="home"):  # a name of one service, as for Feast
            client.get_online_features(["home:goals"], [{"home_team": "a"}])
