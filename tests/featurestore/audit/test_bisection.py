"""A function over many rows fails on the rows that make it fail, and on no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.audit.bisection import bisected


@given(st.lists(st.booleans(), max_size=40))
def test_each_bad_row_is_an_error_of_its_own_and_every_other_is_in_one_result(bad: list[bool]) -> None:
    calls = 0

    def run(rows: slice) -> list[int]:
        nonlocal calls
        calls += 1
        if any(bad[rows]):
            raise ValueError
        return list(range(len(bad)))[rows]

    outcomes = list(bisected(len(bad), run))
    rows = [row for part, _ in outcomes for row in range(len(bad))[part]]
    assert rows == list(range(len(bad)))
    for part, result in outcomes:
        if isinstance(result, ValueError):
            assert bad[part] == [True]
        else:
            assert result == list(range(len(bad)))[part]
    assert calls <= 1 + 2 * sum(bad) * max(len(bad), 1).bit_length()


def test_an_error_that_is_not_expected_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(bisected(2, lambda rows: 1 / 0, ValueError))
