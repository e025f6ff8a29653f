"""The feature log: every emitted row in Parquet, where Feast's historical retrieval finds it.

A stream view's rows are at ``{directory}/{view}/*.parquet``, so that this source reads them::

    FileSource(path=".../{view}", timestamp_field="event_timestamp", created_timestamp_column="created")
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurestore.redis_layout import element_type
from schemas.plan import Plan, StreamViewSpec, ValueType
from streams.lists import Lists
from streams.sinks import OnlineRows

_TIME = pa.timestamp("ms", tz="UTC")
_ARROW: dict[ValueType, pa.DataType] = {
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "String": pa.string(),
    "Bool": pa.bool_(),
    "UnixTimestamp": _TIME,
}


class ParquetFeatureLog:
    """Implements `streams.sinks.FeatureLog`.

    Columns are the join keys, the features, ``event_timestamp`` (the time the row is as of), ``created``
    (when it was appended), both in UTC milliseconds, and ``_partition`` and ``_offset``, the log prefix
    ``[0, offset)`` the row follows from.

    Parameters
    ----------
    directory
        Folder of the log; one folder per view is made in it.
    plan
        The views.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._views = {view.name: view for view in plan.stream_views}
        self._folders = {name: Path(directory) / name for name in self._views}
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self._pending: dict[str, list[OnlineRows]] = {}
        self._created_ms: dict[str, list[int]] = {}

    def append(self, rows: OnlineRows) -> None:
        """Take rows over into memory; their arrays must not be changed afterwards."""
        if len(rows):
            self._pending.setdefault(rows.view, []).append(rows)
            self._created_ms.setdefault(rows.view, []).append(time.time_ns() // 1_000_000)

    def flush(self) -> None:
        """Make everything appended durable: one file per view, complete or not there at all.

        What a crash takes away is appended again on replay, so a row may be in the log twice, with the same
        values, partition and offset.
        """
        for view, rows in self._pending.items():
            table = _table(self._views[view], rows, self._created_ms[view])
            _write(self._folders[view], table)
        self._pending, self._created_ms = {}, {}


def _arrow(dtype: ValueType) -> pa.DataType:
    element = element_type(dtype)
    return _ARROW[dtype] if element is None else pa.list_(_ARROW[element])


def _schema(view: StreamViewSpec) -> pa.Schema:
    fields = [pa.field(f.name, _arrow(f.dtype)) for f in (*view.join_keys, *view.features)]
    times = [pa.field("event_timestamp", _TIME), pa.field("created", _TIME)]
    return pa.schema([*fields, *times, pa.field("_partition", pa.int32()), pa.field("_offset", pa.int64())])


def _table(view: StreamViewSpec, rows: Sequence[OnlineRows], created_ms: Sequence[int]) -> pa.Table:
    counts = [len(each) for each in rows]
    keys = [
        _array(np.concatenate([each.keys[i] for each in rows]), None, key.dtype)
        for i, key in enumerate(view.join_keys)
    ]
    features = [
        _feature(
            [each.features[i][0] for each in rows],
            ~np.concatenate([each.features[i][1] for each in rows]),
            feature.dtype,
        )
        for i, feature in enumerate(view.features)
    ]
    constants = [
        ([each.as_of_ms for each in rows], _TIME),
        (created_ms, _TIME),
        ([each.partition for each in rows], pa.int32()),
        ([each.offset for each in rows], pa.int64()),
    ]
    repeated = [pa.array(np.repeat(values, counts)).cast(kind) for values, kind in constants]
    return pa.Table.from_arrays([*keys, *features, *repeated], schema=_schema(view))


def _feature(parts: Sequence[Any], null: NDArray[np.bool_], dtype: ValueType) -> pa.Array:
    element = element_type(dtype)
    if element is None:
        return _array(np.concatenate(parts), null, dtype)
    lists = Lists.concatenate(parts)
    ends = pa.array(lists.ends, pa.int32(), mask=np.append(null, False))
    return pa.ListArray.from_arrays(ends, _array(np.asarray(lists.values), None, element))


def _array(values: NDArray[Any], null: NDArray[np.bool_] | None, dtype: ValueType) -> pa.Array:
    if dtype == "String":
        return pa.array(values, pa.binary(), mask=null).cast(pa.string())
    return pa.array(values, mask=null).cast(_ARROW[dtype], safe=False)


def _write(folder: Path, table: pa.Table) -> None:
    """Under a temporary name that no reader takes for Parquet, then renamed; file and folder synced."""
    name = f"{time.time_ns()}-{uuid.uuid4().hex}"
    unfinished, finished = folder / f".{name}.unfinished", folder / f"{name}.parquet"
    with unfinished.open("wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(finished)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
