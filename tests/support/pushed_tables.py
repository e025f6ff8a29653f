"""Random rows that are pushed, of every scalar and list type: as Python has them, and as Feast takes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from hypothesis import strategies as st

from headrace.schemas.feature_types import ValueType, element_type, is_composite
from tests.support.feast_online import FEATURES
from tests.support.feature_values import INT32, TEXT, UUIDS

Row = dict[str, Any]
PUSHED = [f for f in FEATURES if not is_composite(f.dtype) and not f.dtype.startswith("Set(")]
# Of empty bytes Feast makes a null, which the SDK does not. Whole numbers beside a null it takes through
# floats, so that those beyond 2^53 would not come back.
_EXACT = st.integers(-(2**53), 2**53)
_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))
_ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "Int32": INT32,
    "Int64": _EXACT,
    "Float32": st.floats(width=32, allow_nan=False),
    "Float64": st.floats(allow_nan=False),
    "String": TEXT,
    "Bool": st.booleans(),
    "UnixTimestamp": _MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    "Bytes": st.binary(min_size=1, max_size=20),
    "PdfBytes": st.binary(min_size=1, max_size=20),
    "ImageBytes": st.binary(min_size=1, max_size=20),
    "Json": st.sampled_from(['{"a": [1, null]}', '"x"', "1", "true"]),
    "Uuid": UUIDS,
    "TimeUuid": UUIDS,
    # Arrow gives the decimals of a column one scale, which changes their text.
    "Decimal": st.integers(-(10**9), 10**9).map(lambda number: Decimal(number).scaleb(-2)),
}
_ZONES = [UTC, ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=-7, minutes=-30))]
# Few, so that there are ties: around 1970 as well, where Feast takes a time for none.
_BASE = datetime(2024, 1, 1, tzinfo=UTC)
EVENT_TIMES = st.builds(
    lambda base, steps, zone: (base + steps * timedelta(milliseconds=500)).astimezone(zone),
    st.sampled_from([_BASE, _BASE, datetime(1970, 1, 1, tzinfo=UTC)]),
    st.integers(-2, 3),
    st.sampled_from(_ZONES),
)


def values_of(dtype: ValueType) -> st.SearchStrategy[Any]:
    element = element_type(dtype)
    return _ELEMENTS[dtype] if element is None else st.lists(_ELEMENTS[element], max_size=3)


ROW = st.fixed_dictionaries(
    {
        "user": st.integers(1, 2),
        "place": st.sampled_from(["", "é"]),
        "at": EVENT_TIMES,
        **{f.name: st.none() | values_of(f.dtype) for f in PUSHED},
    }
)


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a frame, with the features that are not random as nulls."""
    columns = {name: pd.Series([row[name] for row in rows], dtype=object) for name in rows[0]}
    columns["at"] = pd.to_datetime(columns["at"], utc=True)
    nulls = pd.Series([None] * len(rows), dtype=object)
    return pd.DataFrame({**{f.name: nulls for f in FEATURES}, **columns})


def complete(rows: Sequence[Row]) -> list[Row]:
    """The rows as dicts with every feature."""
    return [{**dict.fromkeys(f.name for f in FEATURES), **row} for row in rows]
