"""A table without usable event times is refused at `plan`, by view, column and type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import DefinitionError
from tests.support.carrier_repository import AIRLINES


def test_a_table_that_is_not_there_yet_may_come_later(repo: Path) -> None:
    assert compile_features(repo).batch_views


def test_a_table_with_timestamps_is_as_it_should_be(repo: Path) -> None:
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    assert compile_features(repo).batch_views


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (pa.array(["2013-01-01"] * 4), "string"),
        (pa.array([1_356_998_400] * 4), "int64"),
        (pa.array([15706] * 4, pa.date32()), r"date32\[day\]"),
    ],
)
def test_event_times_that_are_no_timestamps_are_refused(repo: Path, times: pa.Array, kind: str) -> None:
    pq.write_table(pa.table({**AIRLINES, "valid_from": times}), repo / "data" / "airlines.parquet")
    said = f"'airlines', timestamp_field: column 'valid_from' of its table is {kind}, not a timestamp"
    with pytest.raises(DefinitionError, match=said):
        compile_features(repo)


def test_a_column_of_times_that_is_not_there_is_told(repo: Path, replace: Callable[[str, str], None]) -> None:
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    replace(
        'timestamp_field="valid_from")',
        'timestamp_field="valid_from", created_timestamp_column="valid_form")',
    )
    said = r"created_timestamp_column: its table has no column 'valid_form'\. Did you mean 'valid_from'"
    with pytest.raises(DefinitionError, match=said):
        compile_features(repo)


def test_a_file_that_is_no_table_is_told(repo: Path) -> None:
    (repo / "data" / "airlines.parquet").write_bytes(b"no table")
    with pytest.raises(DefinitionError, match=r"'airlines': its table .* cannot be read"):
        compile_features(repo)
