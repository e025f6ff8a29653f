"""Windows and hops: multiples, the nearest that are, and the bound on tiles."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.windows import (
    MAX_BYTES,
    check_state,
    nearest_hop,
    nearest_windows,
    read_window,
)
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.numbers import MOST_TILES
from headrace.streams.aggregations import AGGREGATIONS

FEATURE = Definition("features.py", "feature 'n'")
windows = st.integers(1, 400)


@given(windows, windows)
def test_the_nearest_hop_is_the_divisor_that_is_nearest_in_proportion(window: int, hop: int) -> None:
    divisors = [n for n in range(1, window + 1) if window % n == 0]

    def distance(divisor: int) -> float:
        return max(divisor, hop) / min(divisor, hop)

    nearest = nearest_hop(window, hop)
    assert window % nearest == 0
    assert distance(nearest) == min(map(distance, divisors))


@given(windows, windows)
def test_the_nearest_windows_are_multiples_on_both_sides(window: int, hop: int) -> None:
    nearest = nearest_windows(window, hop)
    assert all(each % hop == 0 and each > 0 and abs(each - window) <= hop for each in nearest)
    assert max(nearest) > window or window % hop == 0


def aggregation(window: timedelta | None, hop: timedelta | None = None) -> Any:
    return SimpleNamespace(time_window=window, slide_interval=hop)


@pytest.mark.parametrize(
    ("window", "hop", "read"),
    [
        (timedelta(minutes=60), timedelta(minutes=5), (3_600_000, 300_000)),
        (timedelta(minutes=60), None, (3_600_000, 3_600_000)),
        (None, None, (0, 0)),
    ],
)
def test_a_window_is_sliding_tumbling_or_a_lifetime(window: Any, hop: Any, read: tuple[int, int]) -> None:
    assert read_window(FEATURE, aggregation(window, hop)) == read


HOUR, FIVE, TEN = timedelta(hours=1), timedelta(minutes=5), timedelta(minutes=10)


@pytest.mark.parametrize(
    ("hop", "tiling", "hop_ms"),
    [(None, FIVE, 300_000), (HOUR, FIVE, 300_000), (TEN, FIVE, 600_000), (None, TEN, 600_000)],
)
def test_a_window_without_a_hop_of_its_own_has_that_of_the_tiles(
    hop: timedelta | None, tiling: timedelta, hop_ms: int
) -> None:
    assert read_window(FEATURE, aggregation(HOUR, hop), tiling) == (3_600_000, hop_ms)


@pytest.mark.parametrize(
    ("hop", "tiling", "said"),
    [
        (FIVE, TEN, "its slide_interval 0:05:00 is not a multiple of the tiling_hop_size 0:10:00"),
        (None, timedelta(minutes=7), "is not a multiple of its tiling_hop_size 0:07:00"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(hop: timedelta | None, tiling: timedelta, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_window(FEATURE, aggregation(HOUR, hop), tiling)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("window", "hop", "said"),
    [
        (
            timedelta(minutes=50),
            timedelta(minutes=15),
            "0:45:00 or 1:00:00; the nearest slide_interval is 0:16:40",
        ),
        (
            timedelta(minutes=1),
            timedelta(minutes=2),
            "The nearest windows are 0:02:00; the nearest slide_interval is 0:01:00",
        ),
        (None, timedelta(minutes=2), "it has a slide_interval and no time_window"),
        (timedelta(0), timedelta(0), "its window is empty"),
        (timedelta(seconds=-1), None, "time_window is -1 day"),
    ],
)
def test_what_is_no_window_is_refused_with_the_nearest(window: Any, hop: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_window(FEATURE, aggregation(window, hop))
    assert said in str(refused.value)


def spec(function: str, window_ms: int, hop_ms: int) -> AggregationSpec:
    return AggregationSpec(
        feature="n", function=function, column="c", window_ms=window_ms, hop_ms=hop_ms, dtype="Int64"
    )


@pytest.mark.parametrize("function", ["count", "last_100"])
def test_a_key_holds_no_more_than_it_may(function: str) -> None:
    size = AGGREGATIONS[function].tile_bytes(spec(function, 10, 10))
    most = min(MOST_TILES, MAX_BYTES // size)
    check_state(FEATURE, (most - 1) * 10, 10, size)
    check_state(FEATURE, 0, 0, size)
    with pytest.raises(
        DefinitionError, match=f"would hold {most + 1:,} tiles per key, .* {most:,} tiles are"
    ):
        check_state(FEATURE, most * 10, 10, size)
