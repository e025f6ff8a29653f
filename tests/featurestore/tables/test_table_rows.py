"""Parquet files as one table: names, folders and files as they are, in one order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.tables.table_rows import ROW, TableRows, parquet_files
from headrace.schemas.errors import HeadraceError


def write(file: Path, **columns: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def rows(folder: Path) -> TableRows:
    return TableRows("planes", lambda: parquet_files(folder), folder)


def test_files_are_read_in_natural_order_with_the_columns_that_any_of_them_has(tmp_path: Path) -> None:
    write(tmp_path / "region=us" / "part-10.parquet", id=[3], x=[30])
    write(tmp_path / "region=eu" / "part-10.parquet", id=[2], x=[20], X=[0.5])
    write(tmp_path / "region=eu" / "part-2.parquet", id=[1], x=pa.array([10], pa.int32()))
    for hidden in ("_SUCCESS", ".draft.parquet", "_old/part-1.parquet"):
        write(tmp_path / hidden, id=[9])
    table = rows(tmp_path).batches({"key": "id", "a": "x", "b": "X", "place": "region"}).read_all()
    assert table.to_pylist() == [
        {"key": 1, "a": 10, "b": None, "place": "eu", ROW: 0},
        {"key": 2, "a": 20, "b": 0.5, "place": "eu", ROW: 1},
        {"key": 3, "a": 30, "b": None, "place": "us", ROW: 2},
    ]


def test_numbers_of_16_bits_are_read_as_every_engine_has_them(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", x=pa.array([1.5, None], pa.float16()))
    table = rows(tmp_path).batches({"x": "x"}).read_all()
    assert table.schema.field("x").type == pa.float32()
    assert table["x"].to_pylist() == [1.5, None]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", id=[1], price=[2])
    with pytest.raises(HeadraceError, match=r"the table of view 'planes' has no column 'prise'.*'price'"):
        rows(tmp_path).batches({"a": "prise"})


def test_files_of_different_types_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", id=[1])
    write(tmp_path / "b.parquet", id=["1"])
    with pytest.raises(HeadraceError, match=r"the files of view 'planes' do not fit together: .*id"):
        rows(tmp_path).columns()


def test_a_file_that_has_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        TableRows("planes", lambda: [tmp_path / "gone.parquet"], tmp_path).columns()
