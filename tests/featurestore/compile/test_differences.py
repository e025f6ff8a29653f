"""What runs in another way than in Feast is told of the object that it concerns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.compile.verdicts import Verdict, verdicts
from tests.support.carrier_repository import AIRLINES, ON_DEMAND
from tests.support.edits import Append

CASES: dict[str, tuple[str, ...]] = {
    "ttl": (
        'v = FeatureView(name="v", entities=[carrier], schema=X, source=t, ttl=timedelta(hours=2))',
        "a row older than its ttl (2:00:00) is not served; Feast serves it online",
    ),
    "vector": (
        'E = Field(name="e", dtype=Array(Float32), vector_index=True, vector_search_metric="L2")\n'
        'v = FeatureView(name="v", entities=[carrier], schema=[*X, E], source=t)',
        "no vector index is made of e: it is served by key, not searched",
    ),
    "precomputed": (
        'v = FeatureService(name="v", features=[airlines], precompute_online=True)',
        "precompute_online is registered as False: answers are made of the rows",
    ),
    "logging": (
        'v = FeatureService(name="v", features=[airlines], logging_config=LoggingConfig(LOGS))',
        "logging_config is of Feast's own servers; Headrace logs the predictions of routers",
    ),
    "join key map": (
        'v = FeatureService(name="v", features=[airlines.with_join_key_map({"carrier": "seller"})])',
        "a mapped join key is read from its column alone, whatever the row has under the key's own name",
    ),
    "renamed function": (
        'v = FeatureService(name="v", features=[shares.with_name("stress")])',
        "training sets are without airlines__fleet, carrier_delays__mean_1h, which Feast adds for a function",
        "training sets have stress, too, where Feast does not find it",
    ),
    "permission": (
        'v = Permission(name="v", types=[FeatureView], policy=POLICY, actions=ALL_ACTIONS)',
        "Feast's servers ask it; Headrace has accounts of Kafka and Redis, and tokens",
    ),
    "inputs of one name": (
        't2 = FeatureView(name="t2", entities=[carrier], schema=X, source=t)\n'
        't3 = FeatureView(name="t3", entities=[carrier], schema=X, source=t)\n'
        "@on_demand_feature_view(sources=[t2, t3], schema=[Field(name='y', dtype=Int64)])\n"
        "def v(df):\n    return df[['t2__x']].rename(columns={'t2__x': 'y'})",
        "its function has x by full names only, Feast's one of each by the short name",
    ),
}
BEFORE = """
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.permissions.action import ALL_ACTIONS
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.types import Array

POLICY = RoleBasedPolicy(roles=["r"])
LOGS = FileLoggingDestination(path="data/logs")
X = [Field(name="x", dtype=Int64)]
t = FileSource(name="t", path="data/t.parquet", timestamp_field="at")
"""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_difference_is_told(repo: Path, append: Append, case: tuple[str, ...]) -> None:
    definition, *told = case
    append(ON_DEMAND)
    append(BEFORE)
    append(definition + "\n")
    verdict = next(each for each in verdicts(compile_features(repo)) if each.name == "v")
    assert verdict.outcome == "runs with a difference"
    assert verdict.why == tuple(told)


def test_columns_that_a_table_lacks_are_told(repo: Path) -> None:
    table = pa.table(AIRLINES)
    pq.write_table(table, repo / "data" / "airlines.parquet")
    assert verdict_of(repo, "airlines").why == ()
    pq.write_table(table.drop_columns(["fleet"]), repo / "data" / "airlines.parquet")
    (told,) = verdict_of(repo, "airlines").why
    assert told.startswith("its table has no column fleet: `materialize` ends with it")


def verdict_of(repo: Path, name: str) -> Verdict:
    return next(each for each in verdicts(compile_features(repo)) if each.name == name)


def test_a_stream_view_is_computed_here(repo: Path) -> None:
    verdict = next(v for v in verdicts(compile_features(repo)) if v.kind == "StreamFeatureView")
    told = "Headrace computes it, and `apply` registers its feature log as its batch source"
    assert verdict.why[-1] == told
