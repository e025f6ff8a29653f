"""The table of a batch view in the plan: another table is another one, another word about it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from feast import FileSource
from feast.data_format import DeltaFormat

from headrace.featurestore.compile.table_source import compile_table


def compiled(**changes: Any) -> Any:
    said: dict[str, Any] = {"name": "t", "path": "data/t.parquet", "timestamp_field": "at"}
    return compile_table(FileSource(**said | changes), Path("/repo"))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "data/u.parquet"},
        {"timestamp_field": "made_at"},
        {"created_timestamp_column": "written_at"},
        {"field_mapping": {"n": "seats"}},
        {"file_format": DeltaFormat()},
        {"s3_endpoint_override": "http://there"},
    ],
)
def test_what_rows_are_read_from_is_part_of_it(change: dict[str, Any]) -> None:
    assert compiled(**change) != compiled()


@pytest.mark.parametrize(
    "change", [{"name": "u"}, {"description": "of planes"}, {"owner": "ann"}, {"tags": {"colour": "blue"}}]
)
def test_what_is_said_for_people_is_not(change: dict[str, Any]) -> None:
    assert compiled(**change) == compiled()


def test_a_path_in_the_repository_is_the_same_on_every_machine() -> None:
    assert compiled(path="/repo/data/t.parquet") == compiled()
    assert compiled(path="/elsewhere/t.parquet").place == "/elsewhere/t.parquet"
    assert compiled(path="s3://bucket/t.parquet").place == "s3://bucket/t.parquet"


def test_an_account_in_the_path_is_not_in_the_plan() -> None:
    with_account = compiled(path="s3://me:s3cret@bucket/p.parquet")
    assert with_account.place == "s3://bucket/p.parquet"
    assert with_account == compiled(path="s3://me:another@bucket/p.parquet")
