"""The join's state in its changelog."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.schemas.errors import StateError
from headrace.schemas.marks import Mark
from headrace.streams.join.changelog import (
    POSITION_KEY,
    changelog_key,
    decode_key,
    encode_key,
    read_changelog,
)
from headrace.streams.join.outputs import made_by
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.wire_format import LoggedPrediction
from tests.support.join_builders import a_prediction, a_router, an_outcome, checkpoint


def a_join() -> PartitionJoin:
    join = PartitionJoin(a_router(100))
    join.predict(a_prediction("p", "k", 5, features={"f": 0.1 + 0.2, "g": 3, "h": True, "i": "é"}), 0)
    join.outcome(an_outcome("o", "k", 7, 0.5), 0)
    join.outcome(an_outcome("parked", "x", 8), 1)
    return join


def test_a_restored_partition_is_the_one_that_was_stored() -> None:
    join = a_join()
    snapshot = read_changelog(checkpoint(join))
    again = PartitionJoin(a_router(100), snapshot)
    assert again.position() == join.position()
    for one in (join, again):
        one.take_released()
        for source in ("predictions", "outcomes"):
            one.mark(source, Mark(500), one.next_offsets[source])
    assert again.take_released() == join.take_released()
    assert again.counts == join.counts


def test_a_key_comes_back_as_it_was() -> None:
    state = a_join().take_touched()["k"]
    assert state is not None
    assert decode_key("k", encode_key(state)) == state


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
@example("1" * 4_300)
@example("-Infinity")
@example("NaN")
@example('"\\u0000\\ud83d\\ude00"')
def test_whatever_a_prediction_was_read_with_a_restart_reads_it_again(value: str) -> None:
    raw = (
        a_prediction("p", "k", 5, features={"f": 1.0})
        .to_bytes()
        .replace(b'"f":1.0', b'"f":' + value.encode())
    )
    join = PartitionJoin(a_router(100))
    join.predict(LoggedPrediction.read(raw), 0)
    state = join.take_touched()["k"]
    assert state is not None
    restored = decode_key("k", encode_key(state)).predictions["p"].prediction
    assert restored is not None
    assert restored == raw


def test_keys_behind_the_last_position_are_torn_and_do_not_count() -> None:
    join = a_join()
    log = checkpoint(join)
    join.predict(a_prediction("q", "k", 9), 1)
    torn = checkpoint(join)[:-1]
    snapshot = read_changelog([*log, *torn, (changelog_key("x"), None)])
    assert snapshot.torn == {"k", "x"}
    assert set(snapshot.keys) == {"k", "x"}
    assert set(snapshot.keys["k"].predictions) == {"p"}
    assert set(PartitionJoin(a_router(100), snapshot).take_touched()) == {"k", "x"}


def test_a_tombstone_takes_a_key_away() -> None:
    join = a_join()
    log = checkpoint(join)
    for source in ("predictions", "outcomes"):
        join.mark(source, Mark(1000), join.next_offsets[source])
    assert read_changelog([*log, *checkpoint(join)]).keys == {}


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(StateError, match="version 99"):
        read_changelog([(POSITION_KEY, b'{"v": 99}')])


def test_the_header_of_an_output_from_before_transactions_names_its_partition() -> None:
    assert made_by([("headrace.reached", b"3:10:20")]) == 3
    assert made_by([("other", b"1")]) is None


def test_marks_of_partitions_outlive_a_restart() -> None:
    join = a_join()
    join.mark("outcomes", Mark(60, partition=0, partitions=2), 2)
    assert join.clocks["outcomes"] == 8
    again = PartitionJoin(a_router(100), read_changelog(checkpoint(join)))
    again.mark("outcomes", Mark(40, partition=1, partitions=2), 3)
    assert again.clocks["outcomes"] == 40
