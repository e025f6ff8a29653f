"""Rows of a stream view as a table of the feature log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.schemas.feature_specs import StreamViewSpec
from headrace.schemas.feature_types import ValueType, element_type
from headrace.streams.columnar.lists import Lists
from headrace.streams.sinks import OnlineRows

TIME = pa.timestamp("ms", tz="UTC")
_ARROW: dict[ValueType, pa.DataType] = {
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "String": pa.string(),
    "Bool": pa.bool_(),
    "UnixTimestamp": TIME,
}


def arrow_type(dtype: ValueType) -> pa.DataType:
    """Return the type of a column of features or join keys.

    >>> arrow_type("Float32"), arrow_type("Array(Int64)")
    (DataType(float), ListType(list<item: int64>))
    """
    element = element_type(dtype)
    return _ARROW[dtype] if element is None else pa.list_(_ARROW[element])


def log_schema(view: StreamViewSpec) -> pa.Schema:
    """Return the columns of a view in the feature log: join keys, features, times and provenance."""
    fields = [pa.field(f.name, arrow_type(f.dtype)) for f in (*view.join_keys, *view.features)]
    times = [pa.field("event_timestamp", TIME), pa.field("created", TIME)]
    return pa.schema([*fields, *times, pa.field("_partition", pa.int32()), pa.field("_offset", pa.int64())])


def log_table(view: StreamViewSpec, rows: Sequence[OnlineRows]) -> pa.Table:
    """Concatenate rows of a view into one table of `log_schema`."""
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
        ([each.as_of_ms for each in rows], TIME),
        ([each.offset for each in rows], TIME),
        ([each.partition for each in rows], pa.int32()),
        ([each.offset for each in rows], pa.int64()),
    ]
    repeated = [pa.array(np.repeat(values, counts)).cast(kind) for values, kind in constants]
    return pa.Table.from_arrays([*keys, *features, *repeated], schema=log_schema(view))


def _feature(columns: Sequence[Any], null: NDArray[np.bool_], dtype: ValueType) -> pa.Array:
    """Concatenate the columns of one feature."""
    element = element_type(dtype)
    if element is None:
        return _array(np.concatenate(columns), null, dtype)
    lists = Lists.concatenate(columns)
    ends = pa.array(lists.ends, pa.int32(), mask=np.append(null, False))
    return pa.ListArray.from_arrays(ends, _array(np.asarray(lists.values), None, element))


def _array(values: NDArray[Any], null: NDArray[np.bool_] | None, dtype: ValueType) -> pa.Array:
    if dtype == "String":
        return pa.array(values, pa.binary(), mask=null).cast(pa.string())
    return pa.array(values, mask=null).cast(_ARROW[dtype], safe=False)
