"""The feature log is what Feast's historical retrieval reads, as of each moment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.feature_log import ParquetFeatureLog, ViewLog
from headrace.schemas.feature_specs import ExpectationSpec
from headrace.schemas.follows_from import log_definition_before
from headrace.schemas.plan import Plan
from tests.support.carrier_delays import START, delays


def files(folder: Path) -> list[Path]:
    """What has rows, of `carrier_delays`."""
    found = sorted(folder.glob("carrier_delays/*/*.parquet"))
    return [file for file in found if pq.ParquetFile(file).metadata.num_rows]


def test_feast_reads_each_row_as_of_its_moment(repo: Path) -> None:
    plan = compile_features(repo).plan()
    log = ParquetFeatureLog(repo / "data" / "log", plan)
    log.append(delays(0, 10, UA=(1, 5.0, 180), AA=(1, None, 90)))
    log.append(delays(30, 20, UA=(2, 7.5, 180)))
    log.flush()
    log.append(delays(60, 30, UA=(3, 1.5, 200)))
    log.flush()
    register(repo)
    asked = pd.DataFrame(
        [
            ("UA", START - timedelta(minutes=1)),
            ("UA", START + timedelta(minutes=29)),
            ("UA", START + timedelta(minutes=30)),
            ("UA", START + timedelta(hours=2)),
            ("AA", START + timedelta(hours=2)),
            ("AA", START + timedelta(days=2)),  # older than the view's ttl of a day
        ],
        columns=["carrier", "event_timestamp"],
    )
    names = [f"carrier_delays:{name}" for name in ("n_1h", "mean_1h", "seats_max_1d")]
    found = FeatureStore(repo_path=str(repo)).get_historical_features(asked, names).to_df()
    found = found.set_index(["carrier", "event_timestamp"]).reindex(pd.MultiIndex.from_frame(asked))
    nan = np.nan
    np.testing.assert_array_equal(found["n_1h"].astype(float), [nan, 1, 2, 3, 1, nan])
    np.testing.assert_array_equal(found["mean_1h"].astype(float), [nan, 5.0, 7.5, 1.5, nan, nan])
    np.testing.assert_array_equal(found["seats_max_1d"].astype(float), [nan, 180, 180, 200, 90, nan])


def test_rows_carry_their_provenance(tmp_path: Path, repo: Path) -> None:
    log = ParquetFeatureLog(tmp_path / "log", compile_features(repo).plan())
    log.append(delays(0, 10, UA=(1, 5.0, 180), AA=(1, None, 90)))
    log.append(delays(1, 11, UA=(2, 5.0, 180)))
    log.flush()
    (file,) = files(tmp_path / "log")
    table = pq.ParquetFile(file).read().to_pydict()
    assert table["carrier"] == ["UA", "AA", "UA"]
    assert table["mean_1h"] == [5.0, None, 5.0]
    assert table["_partition"] == [3, 3, 3]
    assert table["_offset"] == [10, 10, 11]
    assert table["event_timestamp"] == [START, START, START + timedelta(minutes=1)]
    assert [moment.timestamp() for moment in table["created"]] == [0.010, 0.010, 0.011]
    assert file.parent.name == "event_day=2013-01-01"


def test_every_flush_writes_one_file_and_leaves_nothing_unfinished(tmp_path: Path, repo: Path) -> None:
    log = ParquetFeatureLog(tmp_path / "log", compile_features(repo).plan())
    log.flush()
    assert files(tmp_path / "log") == []
    for number in range(3):
        log.append(delays(number, number, UA=(1, 5.0, 180)))
        log.flush()
        log.flush()
    assert len(files(tmp_path / "log")) == 3
    everything = [file for file in (tmp_path / "log").rglob("*") if file.is_file()]
    assert {file.suffix for file in everything} == {".parquet"}


def test_an_opened_log_has_a_file_of_no_rows_that_readers_take_for_the_view(
    tmp_path: Path, repo: Path
) -> None:
    plan = compile_features(repo).plan()
    ParquetFeatureLog(tmp_path, plan)
    log = ViewLog(tmp_path, plan, "carrier_delays")
    ((folder, (file,)),) = log.days()
    assert (folder.name, log.files()) == ("event_day=1970-01-01", [file])
    assert pq.read_table(file).num_rows == 0
    assert pq.read_schema(file).names[:4] == ["carrier", "n_1h", "mean_1h", "seats_max_1d"]


def test_a_new_ttl_or_writer_schema_is_no_other_definition(tmp_path: Path, repo: Path) -> None:
    plan = compile_features(repo).plan()
    (view,), (source,) = plan.stream_views, plan.sources

    def definition(**update: Any) -> str:
        return ViewLog(tmp_path, plan.model_copy(update=update), "carrier_delays").definition

    same = definition()
    assert definition(stream_views=(view.model_copy(update={"ttl_ms": 1}),)) == same
    assert definition(sources=(source.model_copy(update={"writer_schemas": {9: "{}"}}),)) == same
    assert definition(sources=(source.model_copy(update={"late_tiles": 9}),)) != same


COUNTED = ExpectationSpec(field="delay", least=0)


def expecting(plan: Plan, *expectations: ExpectationSpec) -> Plan:
    (source,) = plan.sources
    return plan.model_copy(update={"sources": (source.model_copy(update={"expectations": expectations}),)})


def test_an_expectation_that_only_counts_leaves_the_rows_where_they_are(tmp_path: Path, repo: Path) -> None:
    plan = compile_features(repo).plan()
    log = ParquetFeatureLog(tmp_path, plan)
    log.append(delays(0, 10, UA=(1, 5.0, 180)))
    log.flush()
    before = files(tmp_path)
    ParquetFeatureLog(tmp_path, expecting(plan, COUNTED))
    assert files(tmp_path) == before
    ParquetFeatureLog(tmp_path, expecting(plan, COUNTED.model_copy(update={"quarantine": True})))
    assert not files(tmp_path)
    ParquetFeatureLog(tmp_path, plan)
    assert files(tmp_path) == before


def test_rows_named_by_the_hash_of_before_are_those_of_the_definition(tmp_path: Path, repo: Path) -> None:
    """It had expectations in it that are counted alone: what was written, or set aside, under it is found."""
    plan = expecting(compile_features(repo).plan(), COUNTED)
    log, view = ParquetFeatureLog(tmp_path, plan), ViewLog(tmp_path, plan, "carrier_delays")
    for minute in (0, 1):
        log.append(delays(minute, 10 + minute, UA=(1, 5.0, 180)))
        log.flush("late" if minute else "early")
    now, before = view.definition, log_definition_before(plan, view.view)
    assert now != before
    early, late = files(tmp_path)
    early.rename(early.with_name(early.name.replace(now, before)))
    aside = tmp_path / ".superseded" / "carrier_delays" / late.parent.name
    aside.mkdir(parents=True)
    late.rename(aside / late.name.replace(now, before))
    assert len(view.files()) == 2, "one has no rows; a writer of before may still be at work"
    ParquetFeatureLog(tmp_path, expecting(plan, COUNTED.model_copy(update={"most": 9})))
    assert files(tmp_path) == []
    ParquetFeatureLog(tmp_path, plan)
    assert files(tmp_path) == [early, late]
