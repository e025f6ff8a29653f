"""Feast's own client, whose online store is `remote`, reads through a running `headrace features`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import yaml
from feast import FeatureStore
from feast.data_source import PushMode

from headrace import FeatureClient
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.plans.store import PlanStore
from headrace.streams.connections.redis import redis_client
from headrace.streams.progress import ProcessRegistry
from tests.support.feature_server import feature_server
from tests.support.matches import PUSHED_SQUADS, write_matches

ROWS = [{"team": "a"}, {"team": "b"}, {"team": "nobody"}]


def test_a_remote_online_store_of_feast_is_answered(redis_url: str, tmp_path: Path) -> None:
    repo, project = tmp_path / "repo", f"t{uuid.uuid4().hex[:12]}"
    write_matches(repo, project, redis_url)
    register(repo)
    plan = compile_features(repo).plan()
    materialize(repo, plan, redis_url)
    PlanStore(redis_url, project).save(plan)
    own = FeatureStore(repo_path=str(repo)).get_online_features(["squads:goals"], ROWS).to_dict()
    with feature_server(repo, {"HEADRACE_REDIS": redis_url}, tmp_path / "features.log") as url:
        with redis_client(redis_url) as client:
            assert [one.kind for one in ProcessRegistry(client, project).read()] == ["features"]
        config = yaml.safe_load((repo / "feature_store.yaml").read_text())
        remote = config | {"online_store": {"type": "remote", "path": url}}
        (repo / "feature_store.yaml").write_text(yaml.safe_dump(remote))
        read = FeatureStore(repo_path=str(repo)).get_online_features(["squads:goals"], ROWS).to_dict()
        assert read == own == {"team": ["a", "b", "nobody"], "goals": [30, 40, None]}


def test_what_feasts_own_client_pushes_to_a_remote_store_is_written(redis_url: str, tmp_path: Path) -> None:
    repo, project = tmp_path / "repo", f"t{uuid.uuid4().hex[:12]}"
    write_matches(repo, project, redis_url, more=PUSHED_SQUADS)
    register(repo)
    plan = compile_features(repo).plan()
    PlanStore(redis_url, project).save(plan)
    frame = pd.DataFrame({"team": ["a", "b"], "goals": [7, 8], "at": [datetime(2024, 1, 1, tzinfo=UTC)] * 2})
    with feature_server(repo, {"HEADRACE_REDIS": redis_url}, tmp_path / "features.log") as url:
        config = yaml.safe_load((repo / "feature_store.yaml").read_text())
        remote = config | {"online_store": {"type": "remote", "path": url}}
        (repo / "feature_store.yaml").write_text(yaml.safe_dump(remote))
        FeatureStore(repo_path=str(repo)).push("results", frame, to=PushMode.ONLINE)
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(["pushed_squads:goals"], ROWS)
    assert found.columns["pushed_squads__goals"] == [7, 8, None]
