"""States of one aggregation, and batches to add to them."""

from __future__ import annotations

import numpy as np

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.streams.aggregations import AGGREGATIONS
from headrace.streams.columnar.batch import Batch
from headrace.streams.state.view_group import ViewGroup

INTEGERS, REALS, TEXTS, TRUTHS = "long", "double", "string", "boolean"
WINDOWS = [(60, 10), (30, 30), (0, 0)]
QUANTUM = {INTEGERS: 1.0, REALS: 0.01, TEXTS: 1.0, TRUTHS: 1.0}
DTYPES = {INTEGERS: np.int64, REALS: np.float64, TEXTS: np.bytes_, TRUTHS: np.bool_}


def specs(function: str, kind: str, precision: int = 6, dtype: str | None = None) -> list[AggregationSpec]:
    dtype = dtype or AGGREGATIONS[function].types(kind)[0]
    return [
        AggregationSpec(
            feature=f"{w}_{h}", function=function, column="x", window_ms=w, hop_ms=h, dtype=dtype,
            quantum=QUANTUM[kind], precision=precision,
        )
        for w, h in WINDOWS
    ]  # fmt: skip


def state_of(function: str, kind: str, precision: int = 6, dtype: str | None = None) -> ViewGroup:
    key = FieldSpec(name="key", dtype="Int64")
    view = StreamViewSpec(
        name="v", source="s", join_keys=(key,), aggregations=tuple(specs(function, kind, precision, dtype))
    )
    return ViewGroup([view], lambda _: DTYPES[kind])


def batch_of(events: list[tuple[int, int, object]], kind: str, first: int = 0) -> Batch:
    """Events of one key: (event time, order, value)."""
    known = np.array([value is not None for _, _, value in events], np.bool_)
    missing = b"" if kind == TEXTS else 0
    given = [value.encode() if isinstance(value, str) else value for _, _, value in events]
    cells = np.array([missing if value is None else value for value in given], DTYPES[kind])
    times, order = np.array([event[:2] for event in events], np.int64).reshape(-1, 2).T
    key = Column(np.zeros(len(events), np.int64), np.ones(len(events), np.bool_))
    offset = np.arange(first, first + len(events))
    return Batch(times, order, offset, {"key": key, "x": Column(cells, known)})


def result(state: ViewGroup) -> list[object]:
    (rows,) = state.emit(0, 10**9)
    return [_plain(v[:1].tolist()[0]) if ok[0] else None for v, ok in rows.features]


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def over(function: str, numbers: np.ndarray, precision: int = 10) -> float:
    """The value of a function of many values of one moment, added in several batches."""
    state = state_of(function, REALS, precision)
    state.advance(0)
    for start in range(0, len(numbers), 7000):
        events = [(0, start + n, value) for n, value in enumerate(numbers[start : start + 7000].tolist())]
        state.add(batch_of(events, REALS, start))
    return result(state)[0]
