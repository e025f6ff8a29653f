"""Draws are replayable, and their frequencies are the vector that is logged."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.routing.draw import draw, uniform
from tests.support.properties import tries

vectors = st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any)


@given(vectors, st.text(), st.integers(0, 1000))
@tries(25)
def test_frequencies_over_units_match_the_vector(weights: list[int], salt: str, epoch: int) -> None:
    arms = [f"arm{n}" for n in range(len(weights))]
    vector = {arm: weight / sum(weights) for arm, weight in zip(arms, weights, strict=True)}
    units = 2000
    drawn = [draw(arms, vector, salt, epoch, f"unit{n}") for n in range(units)]
    for arm, p in vector.items():
        assert abs(drawn.count(arm) - units * p) <= 6.0 * math.sqrt(units * p * (1.0 - p))


@given(st.text(), st.integers(), st.text())
def test_a_draw_repeats_and_is_in_the_unit_interval(salt: str, epoch: int, unit: str) -> None:
    assert uniform(salt, epoch, unit) == uniform(salt, epoch, unit)
    assert 0.0 <= uniform(salt, epoch, unit) < 1.0


def test_an_arm_without_propensity_is_never_drawn() -> None:
    vector = {"a": 0.0, "b": 1.0 - 1e-16, "c": 0.0}
    assert {draw(list(vector), vector, "", 0, str(n)) for n in range(500)} == {"b"}


def test_epochs_and_salts_deal_anew() -> None:
    numbers = {uniform(salt, epoch, "u") for salt in ("", "1", "11") for epoch in (1, 11)}
    assert len(numbers) == 6
