"""The state of a key in the changelog is as large as what it holds."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.schemas.avro import Column
from headrace.schemas.errors import StateError
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.streams.columnar.batch import Batch
from headrace.streams.state.view_group import ViewGroup

HOP_MS, WINDOW_MS = 10, 14_400  # 1441 tiles
HEAD, TILE = 16, 16  # offset and number of tiles; a tile's number and its count


def group() -> ViewGroup:
    spec = AggregationSpec(
        feature="n", function="count", column="x", window_ms=WINDOW_MS, hop_ms=HOP_MS, dtype="Int64"
    )
    key = FieldSpec(name="key", dtype="Int64")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(spec,))
    return ViewGroup([view], lambda _: np.int64)


def add(state: ViewGroup, times: list[int]) -> ViewGroup:
    """Add a record of one key at each of these times, the clock moving along."""
    for offset, event_ms in enumerate(times):
        one, valid = np.array([offset]), np.ones(1, np.bool_)
        state.advance(event_ms)
        columns = {"key": Column(np.zeros(1, np.int64), valid), "x": Column(one, valid)}
        state.add(Batch(np.array([event_ms]), one, one, columns))
    return state


def size(state: ViewGroup, since_ms: int | None = None) -> int:
    ((_, raw),) = state.snapshot(since_ms)
    return len(raw)


@pytest.mark.parametrize("tiles", [1, 3, 1441])
def test_only_tiles_that_hold_something_are_written(tiles: int) -> None:
    assert size(add(group(), [n * HOP_MS for n in range(tiles)])) == HEAD + tiles * TILE


def test_tiles_that_have_left_every_window_at_the_position_before_are_not_written() -> None:
    times = [
        0,
        10,
        WINDOW_MS + 10,
        WINDOW_MS + 30,
    ]  # the first tile has left at the third, the second at the last
    assert size(add(group(), times)) == HEAD + 4 * TILE - TILE, "the third tile lies where the first was"
    assert size(add(group(), times), since_ms=WINDOW_MS + 10) == HEAD + 3 * TILE
    assert size(add(group(), times), since_ms=WINDOW_MS + 30) == HEAD + 2 * TILE


def test_a_layout_that_is_not_known_is_refused_by_its_number() -> None:
    ((key, raw),) = add(group(), [0]).snapshot()
    newer = raw[:7] + bytes([9]) + raw[8:]
    with pytest.raises(StateError, match="state of a key in a changelog has version 9"):
        group().load({key: newer})
