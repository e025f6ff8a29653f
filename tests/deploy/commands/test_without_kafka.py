"""A project of batch views, where there is no Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import DefinitionError
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


def test_another_path_is_told_and_has_the_view_written_from_the_beginning_as_one_that_comes_back_is(
    tmp_path: Path, project: str, redis_url: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table(AIRLINES), tmp_path / "data" / "airlines.parquet")
    more = [None if fleet is None else fleet + 100 for fleet in AIRLINES["fleet"]]
    pq.write_table(pa.table({**AIRLINES, "fleet": more}), tmp_path / "data" / "others.parquet")
    (tmp_path / "feature_store.yaml").write_text(repository_config(project, connection_string(redis_url)))
    stream, batch = DEFINITIONS.index("departures = "), DEFINITIONS.index("airlines = ")
    text = (DEFINITIONS[:stream] + DEFINITIONS[batch:]).replace("[carrier_delays, airlines", "[airlines")
    moved = text.replace("data/airlines.parquet", "data/others.parquet")
    features = tmp_path / "features.py"
    features.write_text(text)
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{free_port}")
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)

    def headrace(command: str, *options: str) -> str:
        words = [command, str(tmp_path), *options]
        return CliRunner().invoke(app, words, catch_exceptions=False).output

    def fleet() -> Any:
        with FeatureClient.connect(redis_url, project) as client:
            return client.get_online_features(["airlines:fleet"], {"carrier": ["UA"]}).to_dict()

    headrace("apply")
    assert headrace("materialize") == "airlines: 3 rows\n"
    assert headrace("materialize", "--incremental") == "airlines: 0 rows\n"
    before = fleet()["airlines__fleet"]
    features.write_text(moved)
    told = headrace("plan")
    assert "~ source.place: data/airlines.parquet -> data/others.parquet" in told
    assert "cost: `headrace materialize` is needed" in told
    with pytest.raises(
        DefinitionError, match=r"its table is not that of the plan in force: place 'data/others"
    ):
        headrace("materialize", "--incremental")
    headrace("apply")
    assert headrace("materialize", "--incremental") == "airlines: 3 rows\n"
    assert fleet()["airlines__fleet"] == [before[0] + 100]

    at = moved.index("airlines = ")
    features.write_text(moved[:at])
    assert "- feature view airlines\n    cost: 3 rows in Redis to delete" in headrace(
        "plan", "--allow-unsafe"
    )
    headrace("apply", "--allow-unsafe")
    features.write_text(moved)
    headrace("apply")
    assert headrace("materialize", "--incremental") == "airlines: 3 rows\n"
    assert fleet()["airlines__fleet"] == [before[0] + 100]
