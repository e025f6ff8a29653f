"""The feature log: every emitted row in Parquet, where Feast's historical retrieval finds it.

A stream view's rows are below ``{directory}/{view}/event_day=YYYY-MM-DD/``, by the UTC day they are as of, so
that this source reads them::

    FileSource(path=".../{view}", timestamp_field="event_timestamp", created_timestamp_column="created")

A file's name begins with the definition its rows were computed by. Rows of another definition are moved aside
when the log is opened, and back when theirs is in force again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from headrace.schemas.feature_specs import StreamViewSpec
from headrace.schemas.feature_types import ValueType, element_type
from headrace.schemas.plan import Plan
from headrace.streams.columnar.lists import Lists
from headrace.streams.durable_files import finished_as
from headrace.streams.sinks import OnlineRows

_SUPERSEDED = ".superseded"
_TIME = pa.timestamp("ms", tz="UTC")
_DAY_MS = 86_400_000
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
    """Implements `headrace.streams.sinks.FeatureLog`. Any number of writers may have one open at a time.

    Columns are the join keys, the features, ``event_timestamp`` (the time the row is as of, UTC
    milliseconds), ``created``, and ``_partition`` and ``_offset``, the log prefix ``[0, offset)`` the row
    follows from. ``created`` is the offset as milliseconds from 1970 on: of two rows of a key with one event
    time Feast takes the later created one, and that must be the one that knows more of the log, not the
    one a crash had written again.

    Parameters
    ----------
    directory
        Folder of the log; one folder per view is made in it.
    plan
        The views.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._views = {view.name: view for view in plan.stream_views}
        self._folders = {name: ViewLog(directory, plan, name) for name in self._views}
        for folder in self._folders.values():
            folder.open()
        self._pending: dict[str, list[OnlineRows]] = {}

    def append(self, rows: OnlineRows) -> None:
        """Take rows over into memory; their arrays must not be changed afterwards."""
        if len(rows):
            self._pending.setdefault(rows.view, []).append(rows)

    def flush(self, name: str | None = None) -> None:
        """Make everything appended durable: a file per view and day, complete or not there at all.

        What a crash takes away is appended again on replay, so a row may be in the log twice, with the same
        values, partition and offset; `headrace.featurestore.offline.compaction` and readers drop the second.

        Parameters
        ----------
        name
            Of the files, for a writer whose repeats are to replace what they repeat; else one nobody has.
        """
        for view, rows in self._pending.items():
            by_day: dict[int, list[OnlineRows]] = {}
            for one in rows:
                by_day.setdefault(one.as_of_ms // _DAY_MS, []).append(one)
            for day, found in by_day.items():
                table = _table(self._views[view], found)
                self._folders[view].write(day, table, name or f"{time.time_ns()}-{uuid.uuid4().hex}")
        self._pending = {}


class ViewLog:
    """The files of one view and the definition in force.

    Parameters
    ----------
    directory
        Folder of the log.
    plan, view
        The plan, and the name of a stream view in it.
    """

    def __init__(self, directory: Path, plan: Plan, view: str) -> None:
        self.view = plan.stream_view(view)
        self.definition = _definition(plan, self.view)
        self.folder = Path(directory) / view
        self._aside = Path(directory) / _SUPERSEDED / view

    def open(self) -> None:
        """Have the rows of this definition, and no others, where readers look; at least a file of none."""
        for file in [*self.folder.rglob("*.parquet")]:
            if not self._is_own(file):
                _move(file, self._aside / file.relative_to(self.folder))
        for file in [*self._aside.rglob("*.parquet")]:
            if self._is_own(file):
                _move(file, self.folder / file.relative_to(self._aside))
        if not self.files():  # Feast cannot read a folder without one
            self.write(0, _schema(self.view).empty_table(), "empty")

    def files(self) -> list[Path]:
        """Finished files of this definition, by day and name."""
        return sorted(file for file in self.folder.rglob("*.parquet") if self._is_own(file))

    def days(self) -> Iterator[tuple[Path, list[Path]]]:
        """Each day's folder with its files of this definition."""
        by_day: dict[Path, list[Path]] = {}
        for file in self.files():
            by_day.setdefault(file.parent, []).append(file)
        yield from sorted(by_day.items())

    def write(self, day: int, table: pa.Table, name: str) -> Path:
        """Write a file of rows of one day, counted from 1970; it is there when this returns."""
        folder = self.folder / f"event_day={np.datetime64(day, 'D')}"
        folder.mkdir(parents=True, exist_ok=True)
        finished = folder / f"{self.definition}-{name}.parquet"
        write_durably(finished, table)
        return finished

    def _is_own(self, file: Path) -> bool:
        return file.name.startswith(f"{self.definition}-")


def write_durably(path: Path, table: pa.Table) -> None:
    """Under a temporary name that no reader takes for Parquet, then renamed; file and folder synced."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
    with finished_as(path, unfinished) as file:
        pq.write_table(table, file)


def _definition(plan: Plan, view: StreamViewSpec) -> str:
    """A hash of all that gives the rows of a view their meaning."""
    source = plan.source(view.source).model_dump(mode="json", exclude={"writer_schemas"})
    text = json.dumps([source, view.model_dump(mode="json", exclude={"ttl_ms"})], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _move(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another writer was faster
        file.rename(to)


def arrow_type(dtype: ValueType) -> pa.DataType:
    """The type of a column of features or join keys."""
    element = element_type(dtype)
    return _ARROW[dtype] if element is None else pa.list_(_ARROW[element])


def _schema(view: StreamViewSpec) -> pa.Schema:
    fields = [pa.field(f.name, arrow_type(f.dtype)) for f in (*view.join_keys, *view.features)]
    times = [pa.field("event_timestamp", _TIME), pa.field("created", _TIME)]
    return pa.schema([*fields, *times, pa.field("_partition", pa.int32()), pa.field("_offset", pa.int64())])


def _table(view: StreamViewSpec, rows: Sequence[OnlineRows]) -> pa.Table:
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
        ([each.offset for each in rows], _TIME),
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
