"""Ranges of past records end where a tile does, and hold no more than they may."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.backfill.tile_ranges import tile_ranges

TILE_MS = 10


@given(st.lists(st.integers(-50, 50), max_size=60), st.integers(1, 7))
def test_ranges_are_the_longest_within_a_tile(times_ms: list[int], most: int) -> None:
    """Append times may go back, which ends a range too."""
    ranges = [*tile_ranges(times_ms, lambda ms: ms, TILE_MS, most)]
    assert [ms for cut in ranges for ms in cut] == times_ms
    for cut in ranges:
        assert 0 < len(cut) <= most
        assert len({ms // TILE_MS for ms in cut}) == 1
    for before, after in pairwise(ranges):
        assert len(before) == most or before[-1] // TILE_MS != after[0] // TILE_MS
