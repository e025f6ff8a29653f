"""The join's state in its changelog."""

from __future__ import annotations

import pytest

from headrace.schemas.errors import StateError
from headrace.schemas.records import Example
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import (
    POSITION,
    Emitted,
    changelog_key,
    decode_key,
    encode_key,
    fold_changelog,
    reached,
    reached_headers,
)
from tests.support.join_builders import a_prediction, a_router, an_outcome

Records = list[tuple[bytes, bytes | None]]


def checkpoint(join: PartitionJoin) -> Records:
    states = [(changelog_key(k), encode_key(s) if s else None) for k, s in join.take_touched().items()]
    return [*states, (POSITION, join.position({"examples": 1, "closings": 0}).encode())]


def a_join() -> PartitionJoin:
    join = PartitionJoin(a_router(100))
    join.predict(a_prediction("p", "k", 5, features={"f": 0.1 + 0.2, "g": 3, "h": True, "i": "é"}), 0)
    join.outcome(an_outcome("o", "k", 7, 0.5), 0)
    join.outcome(an_outcome("parked", "x", 8), 1)
    return join


def test_a_restored_partition_is_the_one_that_was_stored() -> None:
    join = a_join()
    snapshot = fold_changelog(checkpoint(join))
    again = PartitionJoin(a_router(100), snapshot)
    assert again.position({}) == join.position({})
    assert snapshot.position is not None
    assert snapshot.position.ends == {"examples": 1, "closings": 0}
    for one in (join, again):
        one.take_released()
        for source in ("predictions", "outcomes"):
            one.mark(source, 500, one.next_offsets[source])
    assert again.take_released() == join.take_released()
    assert again.counts == join.counts


def test_a_key_comes_back_as_it_was() -> None:
    state = a_join().take_touched()["k"]
    assert state is not None
    assert decode_key("k", encode_key(state)) == state


def test_keys_behind_the_last_position_are_torn_and_do_not_count() -> None:
    join = a_join()
    log = checkpoint(join)
    join.predict(a_prediction("q", "k", 9), 1)
    torn = checkpoint(join)[:-1]
    snapshot = fold_changelog([*log, *torn, (changelog_key("x"), None)])
    assert snapshot.torn == {"k", "x"}
    assert set(snapshot.keys) == {"k", "x"}
    assert set(snapshot.keys["k"].predictions) == {"p"}
    assert set(PartitionJoin(a_router(100), snapshot).take_touched()) == {"k", "x"}


def test_a_tombstone_takes_a_key_away() -> None:
    join = a_join()
    log = checkpoint(join)
    for source in ("predictions", "outcomes"):
        join.mark(source, 1000, join.next_offsets[source])
    assert fold_changelog([*log, *checkpoint(join)]).keys == {}


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(StateError, match="version 99"):
        fold_changelog([(POSITION, b'{"v": 99}')])


def test_headers_of_an_output_say_how_far_its_inputs_were_read() -> None:
    headers = reached_headers(3, {"predictions": 10, "outcomes": 20})
    assert reached(headers) == (3, {"predictions": 10, "outcomes": 20})
    assert reached([("other", b"1")]) is None


def test_corrections_already_out_are_counted() -> None:
    emitted, prediction = Emitted(), a_prediction("p#x", "k", 0)
    for n, label in enumerate([1.0, 2.0]):
        name = "p#x" + (f"#{n}" if n else "")
        example = Example(example_id=name, prediction=prediction, label=label, label_ts_ms=1)
        emitted.add_example(example)
    assert emitted.examples == {"p#x": (2, 2.0)}
