"""Which artifacts are kept: thinned one by one or all at once, the same; against a list made by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.retention import retained

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def versions(times: list[int | None]) -> list[NamedArtifact]:
    return [NamedArtifact(f"1.{n}", "", time_ms) for n, time_ms in enumerate(times)]


def kept(times: list[int | None], newest: int, held: frozenset[str] = frozenset()) -> list[int]:
    return [one.minor for one in retained(versions(times), newest, held)]


steps_ms = st.sampled_from([0, 1, MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 7 * HOUR_MS, DAY_MS, 9 * DAY_MS])
timelines = st.lists(steps_ms, max_size=60).map(
    lambda steps: [sum(steps[: n + 1]) for n in range(len(steps))]
)


@given(timelines, st.integers(1, 8), st.frozensets(st.integers(0, 60).map("1.{}".format), max_size=3))
def test_to_thin_after_each_version_leaves_what_thinning_all_at_once_leaves(
    times: list[int], newest: int, held: frozenset[str]
) -> None:
    one_by_one: tuple[NamedArtifact, ...] = ()
    for one in versions([*times]):
        one_by_one = retained((*one_by_one, one), newest, held)
    assert one_by_one == retained(versions([*times]), newest, held)


@given(timelines, st.integers(1, 8))
def test_each_hour_of_the_last_day_and_each_day_of_the_last_month_has_its_first(
    times: list[int], newest: int
) -> None:
    found = kept([*times], newest)
    now_ms = times[-1] if times else 0
    expected = {*range(len(times))[-newest:]}
    for length_ms, reach_ms in ((HOUR_MS, DAY_MS), (DAY_MS, 30 * DAY_MS)):
        first: dict[int, int] = {}
        for minor in reversed(range(len(times))):
            first[times[minor] // length_ms] = minor
        expected |= {minor for minor in first.values() if now_ms - times[minor] < reach_ms}
    assert found == sorted(expected)


def test_a_month_of_a_version_a_second_leaves_some_seventy() -> None:
    a_minute = [n * MINUTE_MS for n in range(45 * 24 * 60)]
    assert len(kept([*a_minute], 20)) == 20 + 24 + 29


def test_held_versions_stay_and_those_without_a_time_only_while_they_are_new() -> None:
    times: list[int | None] = [None, 1, 2, 3, 4, 5]
    assert kept(times, 2) == [1, 4, 5]
    assert kept(times, 2, frozenset({"1.0", "1.2"})) == [0, 1, 2, 4, 5]
