"""Compaction of the feature log: many small files of a day become one, and repeated rows go.

Of the rows of a key with one event time the one stays that follows from the longest prefix. The merged file
is durable under its name before its parts are removed, so a crash leaves rows twice, and never none; and so
it is for compactors that get in each other's way.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.featurestore.offline.feature_log import ViewLog, write_durably
from headrace.schemas.plan import Plan

_ABANDONED_S = 86_400  # an unfinished file nobody will finish


@dataclass(frozen=True)
class Compacted:
    """What became of one view: files and rows before and after, of the days that were touched."""

    view: str
    days: int = 0
    files: int = 0
    rows: int = 0
    rows_left: int = 0


def compact(directory: Path, plan: Plan, target_bytes: int = 256 << 20) -> list[Compacted]:
    """Compact the feature log of every stream view. May run beside writers and other compactors.

    Parameters
    ----------
    directory
        Folder of the log.
    plan
        The plan whose definitions are in force; rows of others are left alone.
    target_bytes
        Files of this size or more are not touched again; smaller ones of a day are merged up to it. One
        merge is held in memory.
    """
    return [_compact_view(ViewLog(directory, plan, view.name), target_bytes) for view in plan.stream_views]


def _compact_view(log: ViewLog, target_bytes: int) -> Compacted:
    days = files = rows = rows_left = 0
    _sweep(log.folder)
    keys = [key.name for key in log.view.join_keys]
    for folder, found in log.days():
        days_before = files
        for group in _groups(found, target_bytes):
            with contextlib.suppress(FileNotFoundError):  # another compactor has merged it
                before, after = _merge(log, folder, group, keys)
                files, rows, rows_left = files + len(group), rows + before, rows_left + after
        days += files > days_before
    return Compacted(log.view.name, days, files, rows, rows_left)


def _groups(files: Sequence[Path], target_bytes: int) -> Iterator[list[Path]]:
    """Files to be merged with each other, two or more."""
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
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in group])
    kept = latest_rows(table, keys)
    name = hashlib.sha256("/".join(file.name for file in group).encode()).hexdigest()[:16]
    merged = folder / f"{log.definition}-compacted-{name}.parquet"
    write_durably(merged, kept)
    for file in group:
        file.unlink(missing_ok=True)
    return len(table), len(kept)


def latest_rows(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Rows in order of key and event time, and of each key and time the one with the greatest offset."""
    same = [*keys, "event_timestamp"]
    order = [*((name, "ascending") for name in same), ("_offset", "ascending"), ("_partition", "ascending")]
    table = table.sort_by(order)
    if len(table) < 2:
        return table
    differs = [pc.not_equal(table[name][1:], table[name][:-1]) for name in same]
    last = np.append(np.asarray(reduce(pc.or_, differs)), True)
    return table.filter(pa.array(last))


def _sweep(folder: Path) -> None:
    """What crashed writers left."""
    for file in folder.rglob(".*.unfinished"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()
