"""The times that a table may bring: those that whoever reads the online store can hold."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_FIRST_S: Final = -62_135_596_800  # 0001-01-01
_LAST_S: Final = 253_402_300_799  # 9999-12-31 23:59:59
_A_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}
_A_DAY_S: Final = 86_400


def check_times(times: pa.Array | pa.ChunkedArray) -> None:
    """Refuse times of no year from 1 to 9999, which Python, and with it every reader, cannot hold.

    Parameters
    ----------
    times
        Timestamps or dates, as the table has them: their conversion to another unit could overflow.

    Raises
    ------
    ValueError
        Names the first row.

    Examples
    --------
    >>> check_times(pa.array([1_700_000_000_000], pa.timestamp("s")))
    Traceback (most recent call last):
    ValueError: row 0 is in no year from 1 to 9999; see the unit of its times
    """
    first, last = _bounds(times.type)
    numbers = times.cast(pa.int32() if pa.types.is_date32(times.type) else pa.int64())
    outside = pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False)
    if (row := pc.index(outside, True).as_py()) >= 0:
        raise ValueError(f"row {row} is in no year from 1 to 9999; see the unit of its times")


def _bounds(kind: pa.DataType) -> tuple[int, int]:
    """Return the first and the last time that is held, in the unit of a type."""
    if pa.types.is_date32(kind):
        return _FIRST_S // _A_DAY_S, _LAST_S // _A_DAY_S
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    if unit == "ns":  # 64 bits of them end in 2262
        return -(2**63), 2**63 - 1
    return _FIRST_S * _A_SECOND[unit], (_LAST_S + 1) * _A_SECOND[unit] - 1
