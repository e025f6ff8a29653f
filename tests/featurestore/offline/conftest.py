"""The carriers' repository with a table of airlines, and with a service of an on-demand view."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.plan import Plan
from tests.support.carrier_delays import START
from tests.support.carrier_repository import ON_DEMAND

STORE = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"


@pytest.fixture
def plan(repo: Path) -> Plan:
    """With a table of airlines of which some rows were valid from later on."""
    times = [START - timedelta(days=90), START, START + timedelta(hours=9), START - timedelta(days=1)]
    table = {
        "carrier": pa.array(["UA", "AA", "UA", "é"]),
        "full_name": pa.array(["United", "American é", "United Air Lines", None]),
        "fleet": pa.array([1, 2, 3, None], pa.int32()),
        "valid_from": pa.array(times, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(table), repo / "data" / "airlines.parquet")
    return compile_features(repo).plan()


@pytest.fixture
def computed(repo: Path, plan: Plan) -> Plan:
    """With a service of an on-demand view of a stream view, a table and the request."""
    with (repo / "features.py").open("a") as file:
        file.write(ON_DEMAND)
    yaml = repo / "feature_store.yaml"
    yaml.write_text(yaml.read_text().replace("type: dask", f"type: {STORE}"))
    return compile_features(repo).plan()
