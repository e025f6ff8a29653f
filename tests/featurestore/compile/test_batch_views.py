"""Batch views: their types, keys and tables; and what cannot be materialised."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from feast import Entity, Field, FileSource
from feast.types import Array, Int64, String

from headrace.featurestore.compile.batch_views import compile_batch_view
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, TableSpec

CARRIER = Entity(name="carrier", join_keys=["carrier"])
DEFINITION = Definition("features.py", "feature view 'planes'")


def view(**changes: Any) -> Any:
    """What is read of Feast's `FeatureView`."""
    fields: dict[str, Any] = {
        "name": "planes",
        "tags": {},
        "entities": ["carrier"],
        "entity_columns": [Field(name="carrier", dtype=String)],
        "features": [Field(name="seats", dtype=Array(Int64))],
        "ttl": timedelta(seconds=5),
        "online": True,
        "stream_source": None,
        "source_views": None,
        "batch_source": FileSource(name="planes_table", path="p.parquet", timestamp_field="at"),
    }
    return SimpleNamespace(**fields | changes)


def compiled(**changes: Any) -> BatchViewSpec:
    return compile_batch_view(DEFINITION, view(**changes), JoinKeys([CARRIER]), Path())


def test_a_batch_view_takes_keys_types_ttl_and_table() -> None:
    assert compiled() == BatchViewSpec(
        name="planes",
        join_keys=(FieldSpec(name="carrier", dtype="String"),),
        features=(FieldSpec(name="seats", dtype="Array(Int64)"),),
        ttl_ms=5000,
        table="planes_table",
        source=TableSpec(place="p.parquet", timestamp_field="at", options="97e340832a3d"),
    )
    assert compiled(ttl=None).ttl_ms == 0
    assert compiled(ttl=timedelta(seconds=8_640_000_000)).ttl_ms == 0  # no row is as old


@pytest.mark.parametrize(
    ("dtype", "declared", "length"), [(Array(Int64), 3, 3), (Array(String), 0, 0), (Int64, 3, 0)]
)
def test_the_length_of_a_list_is_that_of_its_field(dtype: Any, declared: int, length: int) -> None:
    (feature,) = compiled(features=[Field(name="seats", dtype=dtype, vector_length=declared)]).features
    assert feature.length == length


@pytest.mark.parametrize("declared", [-1, 2**31])
def test_a_length_that_is_none_is_refused(declared: int) -> None:
    with pytest.raises(DefinitionError, match=f"'seats' has vector_length={declared}"):
        compiled(features=[Field(name="seats", dtype=Array(Int64), vector_length=declared)])


def test_a_table_without_a_name_is_called_as_its_file() -> None:
    """The folder differs between machines."""
    assert (
        compiled(batch_source=FileSource(path="/one/place/p.parquet", timestamp_field="at")).table
        == "p.parquet"
    )


def test_types_are_those_of_the_schema(repo: Path) -> None:
    (compiled_view,) = compile_features(repo).batch_views
    assert [f.dtype for f in compiled_view.features] == [
        "String",
        "Int32",
        "Float32",
        "UnixTimestamp",
        "Bool",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"online": False}, "it has online=False: Feast alone reads it, for training. Set online=True"),
        ({"batch_source": None}, "it has no table of its own. Write source="),
        ({"source_views": [object()]}, "it has no table of its own"),
        ({"udf": print}, "its transformation is not executed. Prepare the table beforehand"),
        ({"features": []}, "its schema names no features. Write schema="),
        ({"tags": {"headrace.key": "carrier"}}, "tag 'headrace.key' means nothing"),
    ],
)
def test_a_view_that_cannot_be_materialised_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match="feature view 'planes': " + said):
        compiled(**changes)
