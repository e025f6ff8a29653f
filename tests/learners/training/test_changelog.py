"""The trainer's changelog: damaged entries are refused by name, with the remedy; others' are passed over."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from headrace.learners.training.changelog import (
    INPUTS_KEY,
    TrainState,
    encode_inputs,
    encode_reported,
    epochs_key,
    model_key,
    reported_key,
)
from headrace.schemas.errors import StateError
from tests.support.damage import damaged
from tests.support.golden.model_states import write_changelog, write_steering

NEWEST = write_changelog()[1]
PLACE = ("headrace.shop.examples.r", 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (model_key("clicks"), b""),
        (model_key("clicks"), b"null"),
        (model_key("clicks"), b"\xff"),
        (model_key("clicks"), NEWEST.replace(b'"offset": 10', b'"offset": "10"')),
        (model_key("clicks"), NEWEST.replace(b'"offset": 10', b'"offset": -1')),
        (model_key("clicks"), NEWEST.replace(b'"2.3"', b'"../../other/2.3"')),
        (model_key("clicks"), NEWEST.replace(b"0f0f", b"../.")),
        (model_key("clicks"), b'{"v": 1, "offset": 1, "recorded": true, "kept": []}'),
        (reported_key(PLACE), b"{}"),
        (reported_key(PLACE), encode_reported(7).replace(b"7", b'"7"')),
        (b"dead-letters|topic|x", encode_reported(7)),
        (b"dead-letters", encode_reported(7)),
        (INPUTS_KEY, b"[]"),
        (INPUTS_KEY, encode_inputs({"t": "id"}).replace(b'{"t": "id"}', b"7")),
    ],
)
def test_a_damaged_entry_is_refused_by_name_with_the_remedy(key: bytes, value: bytes) -> None:
    state = TrainState()
    with pytest.raises(StateError, match=r"in the trainer's changelog .*`headrace retrain`"):
        state.load(key, value)
    assert state == TrainState()


def test_entries_of_others_are_passed_over() -> None:
    state = TrainState()
    for key in (b"", b"\xff\xfe", b"another|x", b"modelclicks"):
        state.load(key, b"{")
    assert state == TrainState()


@pytest.mark.parametrize(("seed", "rounds"), [(1, 300), pytest.param(2, 20_000, marks=pytest.mark.faults)])
def test_whatever_an_entry_holds_it_is_taken_or_refused(seed: int, rounds: int) -> None:
    entries = {
        model_key("clicks"): NEWEST,
        reported_key(PLACE): encode_reported(7),
        INPUTS_KEY: encode_inputs({"topic": "id"}),
        epochs_key("offers"): b"{}",
    }
    for key, value in entries.items():
        for changed in damaged(value, Random(seed), rounds):
            with suppress(StateError):
                TrainState().load(key, changed)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"pinned": "1.1"', b'"pinned": "../1"'),
        (b'"pinned": "1.1"', b'"pinned": 7'),
        (b'"turns": 3', b'"turns": -3'),
        (b'"reset": ["1.3", 9]', b'"reset": ["1.3"]'),
        (b'"held": ["1.1", "1.3"]', b'"held": [[]]'),
        (b"3600000, 10]", b'"x", 10]'),
    ],
)
def test_damaged_decisions_of_operators_are_refused(was: bytes, becomes: bytes) -> None:
    (value,) = write_steering()
    assert was in value
    with pytest.raises(StateError, match=r"the versions of learner 'clicks'.*`headrace retrain`"):
        TrainState().load(model_key("clicks"), value.replace(was, becomes))
