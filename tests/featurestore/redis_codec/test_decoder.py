"""Stored bytes become values, or an error that shows them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.decoder import decode_provenance, decode_values
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_types import ValueType
from tests.support.feature_values import TYPES, proto, values_of
from tests.support.properties import tries


@pytest.mark.parametrize("dtype", TYPES)
@tries(20)
@given(data=st.data())
def test_bytes_that_are_cut_off_are_an_error_or_a_value(dtype: ValueType, data: st.DataObject) -> None:
    raw = proto(dtype, data.draw(values_of(dtype))).SerializeToString()
    short = raw[: data.draw(st.integers(1, max(1, len(raw) - 1)))]
    with suppress(HeadraceError):
        decode_values([short])


def test_a_value_that_cannot_be_read_is_shown() -> None:
    readable, not_of_feast = b"\x12\x02UA", b"\xff\x07 and more than twelve bytes"
    with pytest.raises(HeadraceError) as caught:
        decode_values([readable, None, not_of_feast])
    assert str(not_of_feast[:12]) in str(caught.value)


def test_a_row_without_provenance_has_none() -> None:
    assert decode_provenance(None) is None
