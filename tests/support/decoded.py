"""What tests look at in what a decoder gives."""

from __future__ import annotations

from typing import Any

from headrace.schemas.avro import Decoded


def column(decoded: Decoded, name: str) -> list[Any]:
    found = decoded.columns[name]
    return [v if ok else None for v, ok in zip(found.values.tolist(), found.valid.tolist(), strict=True)]


def agreed(by_column: Decoded, by_row: Decoded, *fields: str) -> Decoded:
    """Asserts that both ways of decoding give the same."""
    assert by_row.errors == by_column.errors
    for name in fields:
        assert repr(column(by_row, name)) == repr(column(by_column, name))
    return by_column


def assert_only_the_second_is_bad(decoded: Decoded, reason: str) -> None:
    """Of three records with a column ``field``, the first and the last of which are the same."""
    assert list(decoded.errors) == [1]
    assert decoded.errors[1].startswith(reason)
    assert decoded.columns["field"].valid.tolist() == [True, False, True]
    values = column(decoded, "field")
    assert values[0] == values[2]
    assert not decoded.columns["field"].values[1]
