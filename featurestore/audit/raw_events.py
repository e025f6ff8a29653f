"""Event topics as tables of the records as they were written, for the audit.

Records are decoded by the worker's own decoder, so that the audit reads what the worker reads. Which of them
count, and what follows from them, is decided again, in SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.avro.columns import Kind
from headrace.schemas.event_decoder import EventDecoder
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.range_decoder import RangeDecoder
from headrace.streams.log.records import LogRecords

Supply = Callable[[EventDecoder, LogRecords], None]
_ARROW: dict[Kind, pa.DataType] = {
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}
_RECORD_COLUMNS = {
    "part": pa.int64(),
    "pos": pa.int64(),
    "appended": pa.int64(),
    "mark": pa.int64(),
    "broken": pa.bool_(),
    "event_ms": pa.int64(),
}


def raw_table(
    plan: Plan,
    source: SourceSpec,
    ranges: Iterable[tuple[int, LogRecords]],
    supply: Supply = lambda decoder, records: None,
) -> pa.Table:
    """Decode the records of an event topic into a table, one row per record.

    Parameters
    ----------
    ranges
        Partition, and consecutive records of it.
    supply
        Gives the decoder what it lacks for records that it is going to decode.

    Returns
    -------
    pyarrow.Table
        ``part`` and ``pos`` (partition and offset); ``appended`` (append time, epoch ms); ``mark`` (the time
        of a time mark, null for an event); ``broken`` (the record cannot be decoded); ``event_ms``; and
        ``f_NAME`` for each field that the views of the source read or its expectations check. NaN is null.
    """
    reader = RangeDecoder(source, plan.views_of(source.name))
    kinds = {name: reader.decoder.field_kind(name) for name in reader.fields}
    schema = pa.schema({**_RECORD_COLUMNS, **{f"f_{name}": _ARROW[kind] for name, kind in kinds.items()}})
    tables = [schema.empty_table()]
    for part, records in ranges:
        supply(reader.decoder, records)
        tables.append(pa.table(_columns(reader, part, records), schema=schema))
    return pa.concat_tables(tables)


def _columns(reader: RangeDecoder, part: int, records: LogRecords) -> dict[str, pa.Array]:
    decoded = reader.decode(records)
    marked, broken = np.zeros(len(records), np.bool_), np.zeros(len(records), np.bool_)
    marked[[*decoded.marks]] = True
    broken[[*decoded.malformed]] = True
    return {
        "part": pa.array(np.full(len(records), part, np.int64)),
        "pos": pa.array(records.offsets),
        "appended": pa.array(records.appended),
        "mark": pa.array(decoded.times, mask=~marked),
        "broken": pa.array(broken),
        "event_ms": pa.array(decoded.times, mask=~decoded.timed),
        **{f"f_{name}": _array(column) for name, column in decoded.columns.items()},
    }


def _array(column: Column) -> pa.Array:
    valid = column.valid
    if column.values.dtype == np.float64:
        valid = valid & ~np.isnan(column.values)
    if column.values.dtype.kind == "S":
        return pa.array(_texts(column.values), pa.string(), mask=~valid)
    return pa.array(column.values, mask=~valid)


def _texts(values: NDArray[Any]) -> NDArray[np.object_]:
    """Texts of bytes; bytes that are no UTF-8 are shown as ``\\xff``."""
    texts = [value.decode(errors="backslashreplace") for value in values.tolist()]
    return np.array([*texts, None], object)[:-1]
