"""A Feast repository about matches: one view of teams is read for the home team and for the away team."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.schemas.plan import Plan
from tests.support.feast_online import connection_string
from tests.support.repository_config import repository_config

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

team = Entity(name="club", join_keys=["team"], value_type=ValueType.STRING)
rival = Entity(name="rival", join_keys=["rival"], value_type=ValueType.STRING)
HOME, AWAY = {"team": "home_team"}, {"team": "away_team"}


def table(name):
    return FileSource(name=f"{name}_table", path=f"data/{name}.parquet", timestamp_field="at")


teams = FeatureView(
    name="teams",
    entities=[team],
    schema=[
        Field(name="team", dtype=String),
        Field(name="goals", dtype=Int64),
        Field(name="form", dtype=Float64),
    ],
    ttl=timedelta(days=10),
    source=table("teams"),
)
squads = FeatureView(
    name="squads",
    entities=[team],
    schema=[Field(name="team", dtype=String), Field(name="goals", dtype=Int64)],
    source=table("squads"),
)
duels = FeatureView(
    name="duels",
    entities=[team, rival],
    schema=[
        Field(name="team", dtype=String),
        Field(name="rival", dtype=String),
        Field(name="won", dtype=Int64),
    ],
    source=table("duels"),
)
league = FeatureView(
    name="league",
    entities=[],
    schema=[Field(name="mean_goals", dtype=Float64), Field(name="season", dtype=String)],
    ttl=timedelta(days=10),
    source=table("league"),
)
match = FeatureService(
    name="match",
    features=[
        teams.with_name("home").with_join_key_map(HOME),
        teams.with_name("away").with_join_key_map(AWAY)[["form"]],
        squads[["goals"]],
        duels.with_join_key_map({"team": "home_team", "rival": "away_team"}),
    ],
)
seasons = FeatureService(name="seasons", features=[league])
context = FeatureService(
    name="context", features=[league[["mean_goals"]], teams.with_name("home").with_join_key_map(HOME)]
)
mapped = FeatureService(name="mapped", features=[teams.with_join_key_map(HOME)])
renamed = FeatureService(name="renamed", features=[teams.with_name("clubs")])
swapped = FeatureService(
    name="swapped", features=[duels.with_name("back").with_join_key_map({"team": "rival", "rival": "team"})]
)
"""
DAY = datetime(2024, 1, 1, tzinfo=UTC)
TABLES: dict[str, dict[str, list[object]]] = {
    "teams": {
        "team": ["a", "b", "c", "a"],
        "goals": [1, 2, None, 4],
        "form": [0.1, 0.2, 0.3, 0.4],
        "at": [DAY, DAY, DAY, DAY + timedelta(days=2)],
    },
    "squads": {"team": ["a", "b"], "goals": [30, 40], "at": [DAY, DAY]},
    "league": {
        "mean_goals": [2.5, 2.75, 3.0],
        "season": ["2023", None, "2024"],
        "at": [DAY - timedelta(days=1), DAY, DAY + timedelta(days=2)],
    },
    "duels": {"team": ["a", "b"], "rival": ["b", "a"], "won": [5, 6], "at": [DAY, DAY]},
}
# For `more` of `write_matches`: rows are pushed to a view of squads.
PUSHED_SQUADS = """
from feast import PushSource

results = PushSource(name="results", batch_source=table("squads"))
pushed_squads = FeatureView(
    name="pushed_squads",
    entities=[team],
    schema=[Field(name="team", dtype=String), Field(name="goals", dtype=Int64)],
    source=results,
)
"""


def write_matches(folder: Path, project: str, redis_url: str, store: str = "dask", more: str = "") -> Path:
    """Write the repository with its tables, and with more definitions."""
    (folder / "data").mkdir(parents=True)
    (folder / "features.py").write_text(DEFINITIONS + more)
    (folder / "feature_store.yaml").write_text(
        repository_config(project, connection_string(redis_url), store)
    )
    for name, columns in TABLES.items():
        pq.write_table(pa.table(columns), folder / "data" / f"{name}.parquet")
    return folder


def registered_matches(folder: Path, redis_url: str, more: str = "") -> Path:
    """Write the repository of a project of its own, with more definitions, and register it with Feast."""
    write_matches(folder, f"t{uuid.uuid4().hex[:12]}", redis_url, more=more)
    register(folder)
    return folder


def materialized(repo: Path, redis_url: str) -> Plan:
    """The plan of a repository, whose tables are in Redis."""
    plan = compile_features(repo).plan()
    materialize(repo, plan, redis_url)
    return plan
