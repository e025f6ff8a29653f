"""The table of a batch view as a history: its columns by Feast's names, its files where Feast has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource

from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.featurestore.offline.table_history import table_history
from headrace.schemas.errors import HeadraceError

TIMES = pa.array([10, 20], pa.timestamp("us"))


def history(source: Any, repository: Path) -> History:
    return table_history(
        "airlines", source, repository, {"airline": "carrier"}, {"airlines__fleet": "fleet"}, ttl_ms=0
    )


def source(path: str, **more: Any) -> FileSource:
    return FileSource(name="table", path=path, timestamp_field="valid_from", **more)


def test_names_of_the_table_are_those_of_the_field_mapping(tmp_path: Path) -> None:
    table = pa.table({"code": ["UA", "UA"], "size": [1, 2], "since": TIMES, "put": [2, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    mapping = {"code": "carrier", "size": "fleet", "since": "valid_from", "put": "written"}
    mapped = history(source("a.parquet", field_mapping=mapping, created_timestamp_column="written"), tmp_path)
    assert (mapped.timestamp, mapped.created) == ("since", "put")
    asked = pa.table({"airline": ["UA", "AA"], "time": pa.array([19, 19], pa.timestamp("us"))})
    assert join_as_of(asked, "time", [mapped])["airlines__fleet"].to_pylist() == [1, None]


def test_a_folder_is_read_with_the_files_it_has_then(tmp_path: Path) -> None:
    (tmp_path / "data" / "day").mkdir(parents=True)
    folder = history(source("data"), tmp_path)
    asked = pa.table({"airline": ["UA"], "time": pa.array([19], pa.timestamp("us"))})
    with pytest.raises(HeadraceError, match="view 'airlines' has no rows: there is no Parquet file in"):
        join_as_of(asked, "time", [folder])
    for number in (10, 2):
        rows = pa.table({"carrier": ["UA"], "fleet": [number], "valid_from": TIMES[:1]})
        pq.write_table(rows, tmp_path / "data" / "day" / f"{number}.parquet")
    assert join_as_of(asked, "time", [folder])["airlines__fleet"].to_pylist() == [10]


def test_a_table_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="source 'table' is not in Parquet files of this machine"):
        history(source("s3://bucket/a.parquet"), tmp_path)
