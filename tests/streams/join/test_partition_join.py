"""The log-and-wait join of one partition, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.schemas.marks import Mark
from headrace.streams.join.outputs import Released
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Counts, Input
from tests.support.join_builders import a_prediction, a_router, an_outcome

WAIT = 100


class Driver:
    """Feeds a join record by record and numbers the offsets."""

    def __init__(self, **router: Any) -> None:
        self.join = PartitionJoin(a_router(WAIT, **router))

    def predict(self, prediction_id: str, key: str, ts_ms: int) -> None:
        offset = self.join.next_offsets["predictions"]
        self.join.predict(a_prediction(prediction_id, key, ts_ms), offset)

    def outcome(self, outcome_id: str, key: str, ts_ms: int, label: float = 1.0) -> None:
        offset = self.join.next_offsets["outcomes"]
        self.join.outcome(an_outcome(outcome_id, key, ts_ms, label), offset)

    def mark(self, time_ms: int, *inputs: Input) -> None:
        for source in inputs or ("predictions", "outcomes"):
            self.join.mark(source, Mark(time_ms), self.join.next_offsets[source])

    def released(self) -> Released:
        return self.join.take_released()

    @property
    def counts(self) -> Counts:
        return self.join.counts


def examples(released: Released) -> list[tuple[str, float]]:
    return [(example.example_id, example.label) for example in released.examples]


def closings(released: Released) -> list[tuple[str, str, float | None]]:
    return [(c.prediction.prediction_id, c.status, c.label) for c in released.closings]


def test_an_example_comes_as_soon_as_prediction_and_label_are_there() -> None:
    driver = Driver()
    driver.predict("p", "k", 0)
    assert examples(driver.released()) == []
    driver.outcome("o", "k", 10)
    released = driver.released()
    assert examples(released) == [("p", 1.0)]
    assert released.examples[0].label_ts_ms == 10
    assert released.closings == []


def test_an_outcome_before_its_prediction_is_parked_until_it_comes() -> None:
    driver = Driver()
    driver.outcome("o", "k", 0)
    assert driver.counts.parked == 1
    driver.predict("p", "k", 50)
    assert examples(driver.released()) == [("p", 1.0)]
    assert (driver.counts.parked, driver.counts.applied) == (0, 1)


def test_a_prediction_closes_at_exactly_its_time_plus_the_wait() -> None:
    driver = Driver()
    driver.predict("p", "k", 7)
    driver.outcome("o", "k", 10)
    driver.mark(7 + WAIT - 1)
    assert closings(driver.released()) == []
    driver.mark(7 + WAIT)
    assert closings(driver.released()) == [("p", "matched", 1.0)]


def test_the_clock_is_that_of_the_slower_input() -> None:
    driver = Driver()
    driver.predict("p", "k", 0)
    driver.mark(1000, "predictions")
    assert driver.join.clock_ms is None
    driver.mark(50, "outcomes")
    assert driver.join.clock_ms == 50
    assert closings(driver.released()) == []
    driver.mark(200, "outcomes")
    assert closings(driver.released()) == [("p", "censored", None)]


def test_closings_of_one_advance_come_in_order_of_closing_time_then_id() -> None:
    driver = Driver()
    for name, ts_ms in [("c", 5), ("b", 3), ("a", 5), ("d", 1)]:
        driver.predict(name, "k", ts_ms)
    driver.mark(1000)
    assert [row[0] for row in closings(driver.released())] == ["d", "b", "a", "c"]


@pytest.mark.parametrize(("missing", "status"), [("drop", "censored"), ("censor", "censored")])
def test_a_prediction_without_label_is_censored(missing: str, status: str) -> None:
    driver = Driver(missing=missing)
    driver.predict("p", "k", 0)
    driver.mark(WAIT)
    released = driver.released()
    assert (closings(released), examples(released)) == ([("p", status, None)], [])


def test_where_missing_means_negative_the_closing_is_also_an_example() -> None:
    driver = Driver(missing="negative")
    driver.predict("p", "k", 0)
    driver.mark(500)
    released = driver.released()
    assert closings(released) == [("p", "negative", 0.0)]
    assert examples(released) == [("p", 0.0)]
    assert released.examples[0].label_ts_ms == WAIT


def test_an_outcome_sent_twice_counts_once() -> None:
    driver = Driver(duplicates="sum")
    driver.predict("p", "k", 0)
    driver.outcome("o", "k", 10, 2.0)
    driver.outcome("o", "k", 10, 2.0)
    assert examples(driver.released()) == [("p", 2.0)]
    assert (driver.counts.outcomes, driver.counts.applied, driver.counts.duplicate) == (2, 1, 1)


@pytest.mark.parametrize(
    ("duplicates", "rows", "applied", "duplicate"),
    [
        ("first", [("p", 2.0)], 1, 2),
        ("last", [("p", 2.0), ("p#1", 5.0), ("p#2", 1.0)], 3, 0),
        ("sum", [("p", 2.0), ("p#1", 7.0), ("p#2", 8.0)], 3, 0),
        ("max", [("p", 2.0), ("p#1", 5.0)], 3, 0),
    ],
)
def test_further_outcomes_correct_the_label_as_declared(
    duplicates: str, rows: list[tuple[str, float]], applied: int, duplicate: int
) -> None:
    driver = Driver(duplicates=duplicates)
    driver.predict("p", "k", 0)
    for n, label in enumerate([2.0, 5.0, 1.0]):
        driver.outcome(f"o{n}", "k", 10 + n, label)
    assert examples(driver.released()) == rows
    assert (driver.counts.applied, driver.counts.duplicate) == (applied, duplicate)
    driver.mark(500)
    assert closings(driver.released()) == [("p", "matched", rows[-1][1])]


def test_an_outcome_after_the_closing_is_late_and_never_applied() -> None:
    driver = Driver()
    driver.predict("p", "k", 0)
    driver.mark(WAIT)
    driver.outcome("o", "k", WAIT + 10)
    assert driver.counts.parked == 1  # a younger prediction of this key may still come
    driver.mark(2 * WAIT + 10)
    released = driver.released()
    assert examples(released) == []
    assert [(r.kind, r.record.key) for r in released.rejected] == [("late", "k")]
    assert (driver.counts.late, driver.counts.parked) == (1, 0)


def test_an_outcome_of_nothing_is_an_orphan_once_its_wait_is_over() -> None:
    driver = Driver()
    driver.outcome("o", "nobody", 0)
    driver.mark(WAIT - 1)
    assert driver.counts.parked == 1
    driver.mark(WAIT)
    assert [each.kind for each in driver.released().rejected] == ["orphan"]
    assert (driver.counts.orphan, driver.counts.parked) == (1, 0)


def test_an_outcome_applies_to_every_prediction_of_its_key() -> None:
    driver = Driver()
    driver.predict("early", "k", 0)
    driver.predict("other", "x", 0)
    driver.outcome("o", "k", 20)
    driver.predict("later", "k", 40)
    assert examples(driver.released()) == [("early", 1.0), ("later", 1.0)]
    assert driver.counts.applied == 1


def test_a_prediction_sent_twice_counts_once_even_after_it_closed() -> None:
    driver = Driver()
    driver.predict("p", "k", 0)
    driver.predict("p", "k", 0)
    driver.mark(WAIT)
    driver.predict("p", "k", 0)
    assert len(driver.released().closings) == 1
    assert (driver.counts.predictions, driver.counts.prediction_duplicates) == (1, 2)


def test_a_prediction_too_old_to_be_told_from_a_copy_is_refused() -> None:
    driver = Driver()
    driver.mark(2 * WAIT)
    driver.predict("p", "k", 0)
    assert [each.kind for each in driver.released().rejected] == ["late"]
    assert (driver.counts.predictions, driver.counts.prediction_late) == (0, 1)


def test_nothing_is_remembered_of_a_key_after_twice_the_wait() -> None:
    driver = Driver()
    driver.predict("p", "k", 0)
    driver.outcome("o", "k", 10)
    driver.join.take_touched()
    driver.mark(2 * WAIT + 9)
    assert driver.join.take_touched()["k"] is not None
    driver.mark(2 * WAIT + 10)
    assert driver.join.take_touched() == {"k": None}
