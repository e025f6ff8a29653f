"""Natural keys: equal values have one text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.errors import RecordError
from headrace.schemas.natural_keys import natural_key

NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))


@given(NUMBERS, NUMBERS)
def test_numbers_are_equal_as_keys_just_when_they_are_equal(one: float, other: float) -> None:
    assert (natural_key(one) == natural_key(other)) == (one == other)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_float_is_its_integer(number: int) -> None:
    assert natural_key(float(number)) == natural_key(number) == str(number)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63, 10**4000, "a\ud800"])
def test_what_can_be_no_key_is_refused(value: float | str) -> None:
    with pytest.raises(RecordError, match="natural key"):
        natural_key(value)
