"""The table of a batch view: its latest rows in the columns of the view, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.batch.table import BatchTable
from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import DefinitionError
from tests.support.carrier_repository import AIRLINES, DAY

END = datetime(2014, 1, 1, tzinfo=UTC)


def table_of(repo: Path, **columns: Any) -> BatchTable:
    pq.write_table(pa.table({**AIRLINES, **columns}), repo / "data" / "airlines.parquet")
    parts = compile_features(repo)
    return BatchTable(parts.repository, parts.batch_views[0])


def test_the_latest_row_of_every_entity_is_read(repo: Path) -> None:
    rows = table_of(repo).read(END, None)
    (carriers,) = rows.keys
    fleet, valid = rows.features[1]
    assert dict(zip(carriers, fleet.tolist(), strict=True)) == {b"UA": 3, b"AA": 2, b"ZZ": 0}
    assert dict(zip(carriers, valid.tolist(), strict=True)) == {b"UA": True, b"AA": True, b"ZZ": False}
    times = {b"UA": DAY.replace(month=6), b"AA": DAY, b"ZZ": DAY}
    assert rows.times_us.tolist() == [int(times[name].timestamp()) * 10**6 for name in carriers]


@pytest.mark.parametrize(
    ("start", "end", "carriers"),
    [
        (None, DAY.replace(month=3), {b"UA": 1, b"AA": 2, b"ZZ": 0}),
        (DAY.replace(month=3), END, {b"UA": 3}),
        (DAY.replace(month=7), END, {}),
    ],
)
def test_rows_of_other_times_are_not_read(
    repo: Path, start: datetime | None, end: datetime, carriers: dict[bytes, int]
) -> None:
    rows = table_of(repo).read(end, start)
    assert dict(zip(rows.keys[0], rows.features[1][0].tolist(), strict=True)) == carriers


BAD = {
    "text for a number": ("fleet", pa.array(["1", "2", "3", "4"]), "not Int32"),
    "fraction for a whole number": ("fleet", pa.array([1.5, 1.5, 1.5, 1.5]), "is 1.5, which is no Int32"),
    "number beyond Int32": ("fleet", pa.array([2**31] * 4), "is 2147483648, which is no Int32"),
    "number for text": ("full_name", pa.array([1, 2, 3, 4]), "not String"),
    "number for a time": ("founded", pa.array([1, 2, 3, 4]), "not UnixTimestamp"),
    "no join key": ("carrier", pa.array(["UA", "AA", None, "ZZ"]), "have no join key"),
}


@pytest.mark.parametrize(("column", "values", "said"), BAD.values(), ids=BAD.keys())
def test_bad_data_is_refused_by_view_and_column(repo: Path, column: str, values: pa.Array, said: str) -> None:
    table = table_of(repo, **{column: values})
    with pytest.raises(DefinitionError, match=said) as caught:
        table.read(END, None)
    assert caught.value.name == f"feature view 'airlines', column '{column}'"


def test_a_missing_table_is_told(repo: Path) -> None:
    table = table_of(repo)
    (repo / "data" / "airlines.parquet").unlink()
    with pytest.raises(DefinitionError, match=r"(?s)its table cannot be read .* See source 'airlines_table'"):
        table.read(END, None)


def test_a_view_that_the_repository_does_not_define_is_refused(repo: Path) -> None:
    parts = compile_features(repo)
    view = parts.batch_views[0].model_copy(update={"name": "gone"})
    with pytest.raises(DefinitionError, match=r"'gone': it is in the plan, but not in the repository"):
        BatchTable(parts.repository, view)


def test_names_of_the_table_may_be_mapped(repo: Path, replace: Callable[[str, str], None]) -> None:
    replace('timestamp_field="valid_from")', 'timestamp_field="valid_from", field_mapping={"size": "fleet"})')
    table = table_of(repo, size=np.array([5, 6, 7, 8], np.int32))
    rows = table.read(END, DAY.replace(month=3))
    assert rows.features[1][0].tolist() == [7]
