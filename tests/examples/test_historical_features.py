"""Feast's historical retrieval of the flights' views, which share Kafka sources, from the feature log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore

from examples.flights import data
from examples.flights.events import EventTable
from examples.flights.times import HOUR_MS, MINUTE_MS
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.compaction import compact
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.source_partition import SourcePartition
from tests.support.window_oracle import OracleFeature, value_of

START_MS = int(pd.Timestamp("2013-01-01 05:00", tz="UTC").timestamp() * 1000)
STEP_MS = 15 * MINUTE_MS
STEPS = 36 * 4


def ranges(source: SourceSpec, table: EventTable) -> Iterator[LogRecords]:
    """A quarter of an hour of events each, and a time mark behind them."""
    offset = 0
    for step in range(STEPS):
        begin_ms, end_ms = START_MS + step * STEP_MS, START_MS + (step + 1) * STEP_MS
        records = []
        for event in table.between(begin_ms, end_ms):
            value = encode_confluent(source.reader_schema, source.schema_id, event)
            records.append(LogRecord(offset + len(records), end_ms, None, value))
        records.append(LogRecord(offset + len(records), end_ms, None, None, mark_headers(end_ms)))
        offset += len(records)
        yield LogRecords.of(records)


@pytest.fixture(scope="module")
def tables(dataset: data.Dataset) -> dict[str, EventTable]:
    return {name: EventTable(dataset[name], "event_ms") for name in ("departures", "arrivals", "weather")}


@pytest.fixture(scope="module")
def plan(repository: Path) -> Plan:
    return compile_features(repository).plan()


@pytest.fixture(scope="module")
def repo(
    tmp_path_factory: pytest.TempPathFactory, dataset: data.Dataset, tables, plan: Plan, repository: Path
) -> Path:
    """The example's repository, registered, with a feature log of a day and a half."""
    folder = tmp_path_factory.mktemp("flights")
    repo = folder / "feature_repo"
    shutil.copytree(repository, repo, ignore=shutil.ignore_patterns(".headrace", "data"))
    (folder / "data").mkdir()
    for name in ("planes", "airports"):
        dataset[name].to_parquet(folder / "data" / f"{name}.parquet")
    log = ParquetFeatureLog(folder / "log", plan)
    for name, table in tables.items():
        state = SourcePartition(plan, plan.source(name), 0)
        for number, records in enumerate(ranges(plan.source(name), table)):
            for rows in state.process(records).rows:
                log.append(rows)
            if number % 40 == 0:
                log.flush()
    log.flush()
    register(repo, folder / "log")
    return repo


@pytest.fixture(scope="module")
def asked(dataset: data.Dataset) -> pd.DataFrame:
    """Flights, asked about at the end of a quarter of an hour, several at each."""
    requests = dataset["requests"]
    requests = requests[requests["ts_ms"].between(START_MS + 3 * HOUR_MS, START_MS + STEPS * STEP_MS)]
    rows = requests.sample(100, random_state=5)[["origin", "carrier", "dest", "tailnum"]]
    moments = (requests.loc[rows.index, "ts_ms"] // STEP_MS * STEP_MS).to_numpy()
    return rows.assign(event_timestamp=pd.to_datetime(moments, unit="ms", utc=True)).reset_index(drop=True)


def test_every_view_is_read_from_its_own_rows_as_of_each_moment(repo, tables, plan, asked):
    store = FeatureStore(repo_path=str(repo))
    found = store.get_historical_features(
        asked, store.get_feature_service("streaming"), full_feature_names=True
    ).to_df()
    pd.testing.assert_frame_equal(found[[*asked.columns]], asked, check_dtype=False)
    for view in plan.stream_views:
        keys = [key.name for key in view.join_keys]
        events: dict[tuple, list] = {}
        for offset, event in enumerate(tables[view.source].between(START_MS, START_MS + STEPS * STEP_MS)):
            events.setdefault(tuple(event[key] for key in keys), []).append(
                (event["event_ms"], offset, event)
            )
        for row in found.to_dict("records"):
            t_ms = round(row["event_timestamp"].timestamp() * 1000)
            before = [e for e in events.get(tuple(row[key] for key in keys), []) if e[0] < t_ms]
            for a in view.aggregations:
                one = OracleFeature(
                    a.feature, a.function, a.column, a.window_ms, a.hop_ms, round(1 / a.quantum)
                )
                want = value_of(before, t_ms, one) if before else None
                got = row[f"{view.name}__{a.feature}"]
                assert (want is None and pd.isna(got)) or got == want, (view.name, a.feature, row, want)
    assert found["planes__seats"].notna().mean() > 0.8
    assert found["airports__lat"].notna().mean() > 0.8


def test_compaction_changes_nothing_that_is_read(repo, plan, asked):
    store = FeatureStore(repo_path=str(repo))
    service = store.get_feature_service("streaming")
    before = store.get_historical_features(asked, service, full_feature_names=True).to_df()
    compact(repo.parent / "log", plan)
    after = store.get_historical_features(asked, service, full_feature_names=True).to_df()
    pd.testing.assert_frame_equal(before, after)


def test_feasts_own_store_for_files_reads_the_same_values(repo, plan, asked, tmp_path):
    """View by view, since it drops asked rows that are alike in the keys of the first view; and it drops
    those whose key has later rows alone."""
    ours = FeatureStore(repo_path=str(repo))
    copied = shutil.copytree(repo, tmp_path / "repo")
    config = copied / "feature_store.yaml"
    config.write_text(config.read_text().replace(ours.config.offline_config["type"], "dask"))
    stock = FeatureStore(repo_path=str(copied))
    assert type(stock._get_provider().offline_store).__name__ == "DaskOfflineStore"
    for view in plan.stream_views:
        names = [f"{view.name}:{a.feature}" for a in view.aggregations]
        rows = asked[[*(key.name for key in view.join_keys), "event_timestamp"]].drop_duplicates()
        by = [*rows.columns]
        theirs = stock.get_historical_features(rows, names).to_df().set_index(by).sort_index()
        expected = ours.get_historical_features(rows, names).to_df().set_index(by).sort_index()
        lost = expected.index.difference(theirs.index)
        assert expected.loc[lost].isna().all(axis=None)
        expected = expected.drop(lost)
        pd.testing.assert_frame_equal(theirs[expected.columns], expected, check_dtype=False)
