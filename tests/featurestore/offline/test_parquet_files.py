"""Files are there completely or not at all; what a crash left goes when nobody can be writing it."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.offline import parquet_files
from headrace.featurestore.offline.parquet_files import remove_abandoned, write_durably


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    for number in (1, 2):
        write_durably(tmp_path / "a.parquet", pa.table({"x": [number]}))
        assert pq.read_table(tmp_path / "a.parquet").to_pydict() == {"x": [number]}
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_a_crash_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_durably(tmp_path / "a.parquet", pa.table({"x": [1]}))

    def fail(table: pa.Table, file: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(parquet_files.pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_durably(tmp_path / "a.parquet", pa.table({"x": [2]}))
    assert pq.read_table(tmp_path / "a.parquet").to_pydict() == {"x": [1]}
    assert [*tmp_path.glob("*.parquet")] == [tmp_path / "a.parquet"]


def test_unfinished_files_go_after_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "event_day=2013-01-01"
    folder.mkdir()
    new, old = folder / ".a.parquet.1.unfinished", folder / ".a.parquet.2.unfinished"
    for file in (new, old, folder / "a.parquet"):
        file.write_bytes(b"PAR1")
        os.utime(file, (0, 0))
    new.touch()
    remove_abandoned(tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == [new.name, "a.parquet"]
