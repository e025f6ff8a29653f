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
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.columnar.lists import Lists
from headrace.streams.sinks import OnlineRows
from tests.support.carrier_delays import START, at_ms, delays

SOURCE = SourceSpec(
    name="s",
    topic="t",
    reader_schema="{}",
    writer_schemas={},
    timestamp_field="at",
    tile_ms=1,
    late_tiles=0,
    max_future_ms=0,
    shards=0,
)


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
    assert all(file.suffix == ".parquet" for file in files(tmp_path / "log"))


def test_columns_have_the_types_of_the_plan(tmp_path: Path) -> None:
    kinds: dict[Any, Any] = {
        "Int32": np.array([-5], np.int64),
        "Int64": np.array([2**62], np.int64),
        "Float32": np.array([0.1]),
        "Float64": np.array([2**60], np.int64),
        "UnixTimestamp": np.array([at_ms(0)], np.int64),
        "Bool": np.array([True]),
    }
    view = StreamViewSpec(
        name="v",
        source="s",
        join_keys=(FieldSpec(name="a", dtype="Int32"), FieldSpec(name="b", dtype="String")),
        aggregations=tuple(
            AggregationSpec(feature=k.lower(), function="last", column="x", window_ms=1, hop_ms=1, dtype=k)
            for k in kinds
        ),
    )
    log = ParquetFeatureLog(tmp_path, Plan(project="p", sources=(SOURCE,), stream_views=(view,)))
    features = tuple((values, np.array([True])) for values in kinds.values())
    log.append(OnlineRows("v", (np.array([7]), np.array(["é".encode()])), features, 0, 1, at_ms(0)))
    log.flush()
    (file,) = (tmp_path / "v" / "event_day=2013-01-01").iterdir()
    table = pq.ParquetFile(file).read()
    assert [str(kind) for kind in table.schema.types][:8] == [
        "int32",
        "string",
        "int32",
        "int64",
        "float",
        "double",
        "timestamp[ms, tz=UTC]",
        "bool",
    ]
    row = table.to_pylist()[0]
    assert (row["a"], row["b"], row["int32"], row["int64"], row["float64"]) == (7, "é", -5, 2**62, 2.0**60)
    assert (row["unixtimestamp"], row["bool"]) == (START, True)


def test_lists_are_lists_of_the_log(tmp_path: Path) -> None:
    functions = {"last_2": "Array(Float64)", "last_3": "Array(String)"}
    aggregations = tuple(
        AggregationSpec(feature=name, function=name, column="x", window_ms=10, hop_ms=10, dtype=dtype)
        for name, dtype in functions.items()
    )
    key = FieldSpec(name="k", dtype="Int64")
    view = StreamViewSpec(name="v", source=SOURCE.name, join_keys=(key,), aggregations=aggregations)
    log = ParquetFeatureLog(tmp_path, Plan(project="p", sources=(SOURCE,), stream_views=(view,)))
    for offset, lengths in ((1, [2, 0]), (2, [1, 2])):
        valid, lengths = np.array([length > 0 for length in lengths]), np.array(lengths)
        numbers, texts = np.arange(3.0)[: lengths.sum()], np.array([b"a", "é".encode(), b""])[: lengths.sum()]
        features = ((Lists(numbers, lengths), valid), (Lists(texts, lengths), valid))
        log.append(OnlineRows("v", (np.array([5, 6]),), features, 0, offset, 7))
    log.flush()
    (file,) = (file for file in (tmp_path / "v").rglob("*.parquet") if "empty" not in file.name)
    table = pq.ParquetFile(file).read().to_pydict()
    assert table["last_2"] == [[0.0, 1.0], None, [0.0], [1.0, 2.0]]
    assert table["last_3"] == [["a", "é"], None, ["a"], ["é", ""]]
