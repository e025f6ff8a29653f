"""Compaction of the feature log: many small files of a day become one, and repeated rows go.

Of the rows of a key with one event time the row of the longest log prefix stays. The merged file is durable
under its name before the files it was merged from are removed. So a crash, or another compactor at the same
time, leaves rows twice, and never none.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.offline.parquet_files import read_part, remove_abandoned, write_durably
from headrace.schemas.plan import Plan


@dataclass(frozen=True)
class Compacted:
    """The files and rows of one view that were merged.

    Attributes
    ----------
    days
        Days with files that were merged.
    files, rows
        Files that were merged, and their rows.
    rows_left
        Rows of the merged files.
    """

    view: str
    days: int = 0
    files: int = 0
    rows: int = 0
    rows_left: int = 0


def compact(directory: Path, plan: Plan, target_bytes: int = 256 << 20) -> list[Compacted]:
    """Compact the feature log of every stream view, also beside writers and other compactors.

    Parameters
    ----------
    directory
        Folder of the log.
    plan
        The plan whose definitions are in force. Rows of others are left alone.
    target_bytes
        Smaller files of a day are merged up to this size; larger ones are left alone. One merge is held in
        memory.
    """
    return [_compact_view(ViewLog(directory, plan, view.name), target_bytes) for view in plan.stream_views]


def _compact_view(log: ViewLog, target_bytes: int) -> Compacted:
    days = files = rows = rows_left = 0
    remove_abandoned(log.folder)
    keys = [key.name for key in log.view.join_keys]
    for folder, day_files in log.days():
        files_before = files
        for group in _groups(day_files, target_bytes):
            with contextlib.suppress(FileNotFoundError):  # another compactor has merged it
                before, after = _merge(log, folder, group, keys)
                files, rows, rows_left = files + len(group), rows + before, rows_left + after
        days += files > files_before
    return Compacted(log.view.name, days, files, rows, rows_left)


def _groups(files: Sequence[Path], target_bytes: int) -> Iterator[list[Path]]:
    """Group files that are to be merged with each other, two or more."""
    group: list[Path] = []
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            size = file.stat().st_size
            if size >= target_bytes:
                continue
            if group and total + size > target_bytes:
                yield from [group] if len(group) > 1 else []
                group, total = [], 0
            group.append(file)
            total += size
    if len(group) > 1:
        yield group


def _merge(log: ViewLog, folder: Path, group: Sequence[Path], keys: Sequence[str]) -> tuple[int, int]:
    table = pa.concat_tables([read_part(file) for file in group])
    kept = latest_rows(table, keys)
    name = hashlib.sha256("/".join(file.name for file in group).encode()).hexdigest()[:16]
    merged = folder / f"{log.definition}-compacted-{name}.parquet"
    write_durably(merged, kept)
    for file in group:
        file.unlink(missing_ok=True)
    return len(table), len(kept)


def latest_rows(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Keep of each key and event time the row with the greatest offset, in order of key and event time.

    >>> rows = {"user": [7, 7], "event_timestamp": [60, 60], "_offset": [4, 5], "_partition": [0, 0]}
    >>> latest_rows(pa.table(rows), ["user"]).to_pylist()
    [{'user': 7, 'event_timestamp': 60, '_offset': 5, '_partition': 0}]
    """
    identity = [*keys, "event_timestamp"]
    table = table.sort_by([(name, "ascending") for name in [*identity, "_offset", "_partition"]])
    if len(table) < 2:
        return table
    differs_from_next = [pc.not_equal(table[name][1:], table[name][:-1]) for name in identity]
    is_last = np.append(np.asarray(reduce(pc.or_, differs_from_next)), True)
    return table.filter(pa.array(is_last))
