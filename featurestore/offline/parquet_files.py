"""Parquet files that are there completely or not at all, even after a crash."""

from __future__ import annotations

import contextlib
import time
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.streams.durable_files import finished_as, reading

_ABANDONED_S = 86_400  # an unfinished file of this age has no writer any more


def write_durably(path: Path, table: pa.Table) -> None:
    """Write a table under a temporary name that no reader takes for Parquet, sync and rename it."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
    with finished_as(path, unfinished) as file:
        pq.write_table(table, file)


def read_part(path: Path) -> pa.Table:
    """Read a file of the feature log.

    Raises
    ------
    StateError
        When it is damaged; names it and the remedy.
    FileNotFoundError
        When it is gone.
    """
    with reading(path, "move it away; `headrace backfill` writes the rows of its day anew"):
        return pq.ParquetFile(path).read()


def remove_abandoned(folder: Path) -> None:
    """Remove the files that crashed writers left unfinished, a day later."""
    for file in folder.rglob(".*.unfinished"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()
