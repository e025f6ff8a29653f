"""Each vector is recomputed from what its row, or an earlier prediction, shows to have been read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from headrace.featurestore.audit.log_prefixes import (
    BlockOffsets,
    LeastOffsets,
    Place,
    SourceLog,
    block_offsets,
    served_vector,
)
from headrace.featurestore.audit.read_views import ReadView
from headrace.schemas.errors import StateError
from headrace.schemas.records import Prediction, Provenance
from headrace.streams.state.shuffle import Block, encode_block
from tests.support.audit_scene import audited_plan
from tests.support.golden.stream_states import newer_blocks
from tests.support.join_builders import a_prediction

PLAN = audited_plan()
BY_USER, BY_SHOP = PLAN.stream_view("by_user"), PLAN.stream_view("by_shop")  # direct, and behind the shuffle
RECORDS = [  # (partition, offset, append time)
    *((3, offset, 40) for offset in range(20)),
    *((5, offset, 10 * offset) for offset in range(2, 9)),
    *((6, offset, appended_ms) for offset, appended_ms in enumerate([30, 49, 70, 10])),
    (7, 4, 60),
]


def log_of(records: list[tuple[int, int, int]]) -> pa.Table:
    columns = zip(*records, strict=True)
    return pa.table(dict(zip(("part", "pos", "appended"), map(list, columns), strict=True)))


LOG = SourceLog(
    log_of(RECORDS),
    [
        BlockOffsets(shard=0, offset=0, partition=0, next_offset=4),
        BlockOffsets(shard=0, offset=1, partition=1, next_offset=7),
        BlockOffsets(shard=1, offset=0, partition=0, next_offset=4),
        BlockOffsets(shard=0, offset=2, partition=0, next_offset=9),
    ],
)


def prediction(number: int, ts_ms: int, key: str = "k", **offsets: tuple[int, int]) -> Prediction:
    """With a row of each view from (partition or shard, offset)."""
    rows = {
        view: Provenance(partition=place, offset=offset, as_of_ms=ts_ms)
        for view, (place, offset) in offsets.items()
    }
    return a_prediction(f"p{number}", key, ts_ms, provenance=rows)


def least_of_last(*predictions: Prediction, settle_ms: int = 0, partitions: int = 1) -> dict[Place, int]:
    router = PLAN.routers[0].model_copy(update={"partitions": partitions})
    least = LeastOffsets(PLAN, router, [ReadView.of(BY_USER), ReadView.of(BY_SHOP)], settle_ms)
    last = len(predictions) - 1
    return least.of_chosen(predictions, {last})[last]


def test_a_prediction_must_have_read_what_earlier_ones_had_read() -> None:
    earlier = [prediction(0, 10, by_user=(3, 8), by_shop=(0, 2)), prediction(1, 11, by_user=(3, 5))]
    assert least_of_last(*earlier, prediction(2, 12)) == {
        Place("purchases", False, 3): 8,
        Place("purchases", True, 0): 2,
    }


def test_a_prediction_within_the_settling_time_or_of_another_partition_says_nothing() -> None:
    earlier = prediction(0, 10, by_user=(3, 8))
    assert least_of_last(earlier, prediction(1, 12), settle_ms=2) == {}
    assert least_of_last(earlier, prediction(1, 13), settle_ms=2) == {Place("purchases", False, 3): 8}
    keys = [f"k{n}" for n in range(20)]
    known = [least_of_last(earlier, prediction(1, 13, key), partitions=4) for key in keys]
    assert 0 < sum(map(bool, known)) < len(keys)


def test_a_question_about_the_past_is_held_to_nothing() -> None:
    first, second = prediction(0, 10, by_user=(3, 8)), prediction(1, 20)
    assert least_of_last(first, second, prediction(2, 5)) == {}


@pytest.mark.parametrize(
    ("view", "row", "least", "prefixes"),
    [
        (BY_USER, (3, 8), {}, {3: 8}),
        (BY_USER, (3, 8), {Place("purchases", False, 3): 11, Place("purchases", False, 4): 2}, {3: 11}),
        (BY_USER, None, {Place("purchases", False, 4): 2, Place("purchases", True, 4): 9}, {4: 2}),
        (BY_SHOP, (0, 2), {}, {0: 4, 1: 7}),
        (BY_SHOP, (0, 2), {Place("purchases", True, 0): 3}, {0: 9, 1: 7}),
        (BY_SHOP, None, {Place("purchases", True, 0): 3}, {0: 0, 1: 0}),  # shard 1 may have read nothing
        (BY_SHOP, None, {Place("purchases", True, 0): 3, Place("purchases", True, 1): 1}, {0: 4, 1: 0}),
    ],
)
def test_the_prefix_is_that_of_the_row_or_a_longer_one_that_was_read(
    view: Any, row: tuple[int, int] | None, least: dict[Place, int], prefixes: dict[int, int]
) -> None:
    asked = prediction(0, 50, **({} if row is None else {view.name: row}))
    vector = served_vector(ReadView.of(view), PLAN.is_direct(view), LOG, asked, least)
    assert vector.prefixes == prefixes
    assert vector.as_of_ms == (None if row is None else 50)


@pytest.mark.parametrize(
    ("settle_ms", "least", "others"),
    [
        (0, {}, {5: 5, 6: 2, 7: 4}),  # what was appended before 50; 6 up to its first record that was not
        (15, {}, {3: 0, 5: 4, 6: 1, 7: 4}),
        (0, {Place("purchases", False, 5): 7, Place("purchases", False, 8): 1}, {5: 7, 6: 2, 7: 4, 8: 1}),
        (0, {Place("purchases", True, 5): 7, Place("clicks", False, 5): 7}, {5: 5, 6: 2, 7: 4}),
    ],
)
def test_a_row_read_directly_is_held_to_what_the_other_partitions_had_by_then(
    settle_ms: int, least: dict[Place, int], others: dict[int, int]
) -> None:
    asked = prediction(0, 50, by_user=(3, 8), by_shop=(0, 2))
    assert served_vector(ReadView.of(BY_USER), True, LOG, asked, least, settle_ms).others == {
        part: offset for part, offset in others.items() if part != 3
    }
    assert served_vector(ReadView.of(BY_SHOP), False, LOG, asked, least, settle_ms).others == {}
    assert served_vector(ReadView.of(BY_USER), True, LOG, prediction(0, 50), least, settle_ms).others == {}


def test_a_partition_was_read_up_to_the_greatest_offset_of_its_rows() -> None:
    """Whichever view comes last: a row is older than another where its key had no event since."""
    both = [BY_USER, BY_USER.model_copy(update={"name": "also_by_user"})]
    for offsets in ((8, 5), (5, 8)):
        rows = {view.name: (3, offset) for view, offset in zip(both, offsets, strict=True)}
        predictions = [prediction(0, 10, **rows), prediction(1, 12)]
        least = LeastOffsets(PLAN, PLAN.routers[0], [*map(ReadView.of, both)], 0).of_chosen(predictions, {1})
        assert least[1] == {Place("purchases", False, 3): 8}


def test_a_block_tells_how_far_its_partition_was_read_unless_it_is_of_other_views() -> None:
    block = encode_block(Block("d", 2, 5, 9, 10**9, {}))
    assert block_offsets(1, 6, block, "d") == BlockOffsets(1, 6, partition=2, next_offset=9)
    assert block_offsets(1, 6, block, "another") is None
    (newer,) = newer_blocks([block])
    with pytest.raises(StateError):
        block_offsets(1, 6, newer, "d")
