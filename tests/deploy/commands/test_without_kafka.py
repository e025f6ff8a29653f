"""A project of batch views, where there is no Kafka."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.featurestore.online.client import FeatureClient
from tests.support.carrier_repository import AIRLINES, DEFINITIONS
from tests.support.feast_online import connection_string
from tests.support.repository_config import repository_config


def test_batch_views_are_planned_applied_written_and_read_without_kafka(
    tmp_path: Path, project: str, redis_url: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table(AIRLINES), tmp_path / "data" / "airlines.parquet")
    (tmp_path / "feature_store.yaml").write_text(repository_config(project, connection_string(redis_url)))
    stream, batch = DEFINITIONS.index("departures = "), DEFINITIONS.index("airlines = ")
    text = DEFINITIONS[:stream] + DEFINITIONS[batch:]
    (tmp_path / "features.py").write_text(text.replace("[carrier_delays, airlines", "[airlines"))
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{free_port}")
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)

    def headrace(command: str) -> str:
        return CliRunner().invoke(app, [command, str(tmp_path)], catch_exceptions=False).output

    assert "+ feature view airlines" in headrace("plan")
    assert "applied plan" in headrace("apply")
    assert headrace("plan") == "nothing would change\n"
    assert headrace("materialize") == "airlines: 3 rows\n"
    headrace("status")
    with FeatureClient.connect(redis_url, project) as client:
        read = client.get_online_features("delays", {"carrier": ["UA", "none"]}).to_dict()
    assert read["airlines__fleet"] == [3, None]
