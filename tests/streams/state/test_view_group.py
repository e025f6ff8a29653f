"""What a changelog is told of the keys of a group."""

from __future__ import annotations

import numpy as np

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.keys import decode_key
from headrace.streams.state.view_group import ViewGroup

HOP_MS = 10


def state() -> ViewGroup:
    spec = AggregationSpec(
        feature="n", function="count", column="x", window_ms=HOP_MS, hop_ms=HOP_MS, dtype="Int64"
    )
    key = FieldSpec(name="key", dtype="Int64")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(spec,))
    return ViewGroup([view], lambda _: np.int64)


def apply(one: ViewGroup, keys: list[int], now_ms: int, offset: int) -> dict[int, int]:
    """A record of each key at that time, then what is emitted."""
    known, number = np.ones(len(keys), np.bool_), np.array(keys, np.int64)
    offsets = np.arange(offset, offset + len(keys))
    one.advance(now_ms)
    columns = {"key": Column(number, known), "x": Column(number, known)}
    one.add(Batch(np.full(len(keys), now_ms), offsets, offsets, columns))
    rows = one.emit(0, offset + len(keys))
    return {
        key: count
        for part in rows
        for key, count in zip(part.keys[0].tolist(), part.features[0][0].tolist(), strict=True)
    }


def written(one: ViewGroup) -> tuple[set[int], set[int]]:
    """Keys whose state a checkpoint writes, and those that it deletes."""
    kept = {decode_key(raw)[0] for raw, _ in one.snapshot()}
    return kept, {decode_key(raw)[0] for raw in one.take_freed()}


def test_a_key_that_came_and_went_between_two_checkpoints_is_not_in_the_changelog() -> None:
    one = state()
    assert apply(one, [1, 2], 5, 0) == {1: 1, 2: 1}
    assert apply(one, [3], 35, 2) == {1: 0, 2: 0, 3: 1}
    assert written(one) == ({3}, set())


def test_a_key_of_the_changelog_is_deleted_from_it_when_it_is_given_up() -> None:
    one = state()
    apply(one, [1, 2], 5, 0)
    assert written(one) == ({1, 2}, set())
    apply(one, [3], 35, 2)
    assert written(one) == ({3}, {1, 2})
    apply(one, [1], 65, 3)
    assert written(one) == ({1}, {3})


def test_one_that_comes_back_before_the_checkpoint_stays() -> None:
    one = state()
    apply(one, [1], 5, 0)
    written(one)
    apply(one, [2], 35, 1)
    apply(one, [1], 36, 2)
    assert written(one) == ({1, 2}, set())


def test_one_that_comes_back_and_goes_again_is_deleted_once() -> None:
    one = state()
    apply(one, [1], 5, 0)
    written(one)
    for offset, (key, now_ms) in enumerate([(2, 35), (1, 36), (2, 65)], 1):
        apply(one, [key], now_ms, offset)
    freed = one.take_freed()
    assert [decode_key(raw) for raw in freed] == [(1,)]


def test_a_restored_key_is_one_of_the_changelog() -> None:
    one, restored = state(), state()
    apply(one, [1], 5, 0)
    restored.load(dict(one.snapshot()))
    restored.restored(5)
    apply(restored, [2], 35, 1)
    assert written(restored) == ({2}, {1})
