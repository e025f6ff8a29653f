"""Random rows of every type for the views of `tests.support.feast_online`, and how they are written."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from headrace.featurestore.online.writer import RedisOnlineSink
from tests.support.feast_online import FEATURES, KEYS, FeastOnline
from tests.support.feature_values import NO_TIME, TEXT, column, values_of

BY_NAME = {feature.name: feature.dtype for feature in FEATURES}
USERS, PLACES = (
    st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(["", "é", "EWR"]) | TEXT,
)
ROW = st.fixed_dictionaries({name: st.none() | values_of(dtype) for name, dtype in BY_NAME.items()})
TABLE = st.dictionaries(st.tuples(PLACES, USERS), ROW, min_size=1, max_size=6)
NOW_MS = 1_700_000_000_123
Row = Mapping[str, Any]
Table = Mapping[tuple[str, int], Row]
EDGES: Table = {
    ("EWR", -1): dict.fromkeys(BY_NAME),
    ("LGA", -2): {
        name: {} if dtype.startswith("Struct") else [] if "(" in dtype else None
        for name, dtype in BY_NAME.items()
    },
    ("日本", 2**40): {
        **dict.fromkeys(BY_NAME),
        "f_bool": False,
        "f_float32": math.inf,
        "f_float64": math.nan,
        "f_int32": -(2**31),
        "f_int64": 127,
        "f_string": "",
        "f_unixtimestamp": 0,
        "f_array_float64": [math.nan, -0.0, math.inf],
        "f_array_string": ["", "é", ""],
        "f_array_unixtimestamp": [0, NO_TIME, -1],
        "f_set_int64": [-1, 2**62, 0],
    },
}


def entity_key(view: str, key: tuple[str, int]) -> dict[str, Any]:
    return {name: part for name, part in zip(("place", "user"), key, strict=True) if name in key_names(view)}


def key_names(view: str) -> list[str]:
    return [key.name for key in KEYS[view]]


def write_with_headrace(redis_url: str, online: FeastOnline, table: Table) -> None:
    keys = {
        "place": [place.encode() for place, _ in table],
        "user": np.array([user for _, user in table], np.int64),
    }
    features = []
    for feature in FEATURES:
        values = [row[feature.name] for row in table.values()]
        features.append((column(feature.dtype, values), np.array([v is not None for v in values])))

    async def write() -> None:
        sink = RedisOnlineSink(redis_url, online.plan)
        for view in KEYS:
            own = [keys[name] for name in key_names(view)]
            await sink.write_batch_view(view, own, features, np.full(len(table), NOW_MS * 1000))
        await sink.close()

    asyncio.run(write())
