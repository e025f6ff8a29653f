"""Columns of byte strings are joined as a loop over rows would join them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.byte_columns import ByteColumn, PaddedRows, join_rows, split_rows

STRINGS = st.binary(max_size=12)


@given(st.data(), st.integers(0, 20), st.integers(1, 4))
def test_rows_are_joined_in_order(data: st.DataObject, rows: int, width: int) -> None:
    strings = [data.draw(st.lists(STRINGS, min_size=rows, max_size=rows)) for _ in range(width)]
    columns = [ByteColumn.of_list(column) for column in strings] + [ByteColumn.constant(b"|")]
    expected = [b"".join(row) + b"|" for row in zip(*strings, strict=True)]
    assert split_rows(columns, rows) == expected
    assert join_rows(columns, rows) == b"".join(expected)


@given(st.lists(st.tuples(STRINGS, st.booleans()), min_size=1))
def test_strings_that_are_not_valid_are_empty(strings: list[tuple[bytes, bool]]) -> None:
    texts, valid_rows = [text for text, _ in strings], np.array([valid for _, valid in strings])
    column = ByteColumn.of_list(texts).where(valid_rows)
    assert split_rows([column], len(strings)) == [text if valid else b"" for text, valid in strings]


def test_text_of_fixed_width_is_read_without_its_padding() -> None:
    texts = np.array([b"UA", b"", b"\xc3\xa9-long", b"x"])
    assert split_rows([ByteColumn.of_array(texts)], 4) == list(texts)


def test_rows_are_placed_side_by_side() -> None:
    blocks = [PaddedRows.of([ByteColumn.of_list(texts)], 2) for texts in ([b"a", b"bcd"], [b"", b"e"])]
    assert PaddedRows.beside(blocks).tobytes() == b"abcde"
    assert blocks[0].wrapped(1).tobytes() == b"abcd"
