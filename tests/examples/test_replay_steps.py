"""A replay is honest: what is asked at a moment knows what came before it, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.data import Dataset
from examples.flights.steps import STEP_MS, Period, steps

times = st.lists(st.integers(1, 40 * STEP_MS), max_size=30).map(lambda t: np.array(sorted(t), np.int64))
some_times = st.lists(st.integers(1, 40 * STEP_MS), min_size=1, max_size=30).map(
    lambda t: np.array(sorted(t), np.int64)
)


@given(some_times, times, some_times)
def test_every_event_comes_once_and_in_order(
    first: np.ndarray, second: np.ndarray, asked: np.ndarray
) -> None:
    for events in (first, second):
        seen = [
            event
            for step in steps([first, second], asked)
            for event in events[(events >= step.start_ms) & (events < step.now_ms)]
        ]
        assert seen == list(events)


@given(some_times, some_times)
def test_every_question_is_asked_once_knowing_all_before_its_step_and_nothing_after(
    events: np.ndarray, asked: np.ndarray
) -> None:
    known_ms, answered = 0, []
    for step in steps([events], asked):
        assert step.start_ms == known_ms
        known_ms = step.now_ms
        due = asked[(asked >= known_ms) & (asked < known_ms + STEP_MS)]
        assert bool(len(due)) == step.has_requests
        answered += list(due)
    assert answered == list(asked)


@given(some_times, some_times)
def test_models_are_swapped_before_the_first_question_of_every_hour(
    events: np.ndarray, asked: np.ndarray
) -> None:
    swapped = set()
    for step in steps([events], asked):
        hour = step.now_ms // (4 * STEP_MS)
        assert step.ends_hour == (hour not in swapped)
        assert step.hour_has_requests == any(asked // STEP_MS // 4 == hour)
        swapped.add(hour)


def test_a_period_holds_everything_that_happens_to_its_flights(dataset: Dataset) -> None:
    until_ms = int(dataset["requests"]["ts_ms"].quantile(0.1))
    period = Period.of(dataset.tables, until_ms)
    flights = set(period.requests["flight_id"])
    assert (period.requests["ts_ms"] < until_ms).all()
    assert set(period.departures["flight_id"]) <= flights
    assert set(period.arrivals["flight_id"]) == flights & set(dataset["arrivals"]["flight_id"])
