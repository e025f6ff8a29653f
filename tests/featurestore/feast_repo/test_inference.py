"""What a view leaves out is inferred from its table, as Feast does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FieldSpec
from tests.support.carrier_repository import AIRLINES

PLANES = """
    plane = Entity(name="plane", join_keys=["tail"])
    planes = FeatureView(
        name="planes", entities=[plane], source=FileSource(path="data/planes.parquet"), ttl=timedelta(0)
    )
"""
TABLE = {
    "tail": ["N1", "N2"],
    "seats": [180, 90],
    "maker": ["a", "b"],
    "built": pa.array([1, 2], pa.timestamp("us", "UTC")),
}


def test_times_features_and_keys_are_those_that_feast_registers(
    repo: Path, append: Callable[[str], None]
) -> None:
    append(PLANES)
    pq.write_table(pa.table(TABLE), repo / "data" / "planes.parquet")
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    (view,) = (view for view in compile_features(repo).batch_views if view.name == "planes")
    assert view.join_keys == (FieldSpec(name="tail", dtype="String"),)
    assert view.features == (FieldSpec(name="seats", dtype="Int64"), FieldSpec(name="maker", dtype="String"))
    register(repo)
    registered = FeatureStore(repo_path=str(repo)).get_feature_view("planes")
    assert registered.batch_source.timestamp_field == "built"
    assert [(field.name, str(field.dtype)) for field in registered.features] == [
        (field.name, field.dtype) for field in view.features
    ]


def test_what_the_table_does_not_say_is_asked_for(repo: Path, append: Callable[[str], None]) -> None:
    append(PLANES)
    said = "leaves out its features and the type of join key 'tail' and timestamp_field of its source, and"
    with pytest.raises(DefinitionError, match=said):
        compile_features(repo)
    pq.write_table(
        pa.table({name: TABLE[name] for name in ("tail", "seats")}), repo / "data" / "planes.parquet"
    )
    with pytest.raises(DefinitionError, match=r"(?i)its table does not say .*no columns of timestamp type"):
        compile_features(repo)


def test_a_service_of_a_view_whose_features_are_not_known_is_no_error_of_its_own(
    repo: Path, append: Callable[[str], None]
) -> None:
    append(PLANES)
    append('seen = FeatureService(name="seen", features=[planes])\n')
    with pytest.raises(DefinitionError) as refused:
        compile_features(repo)
    assert refused.value.name == "feature view 'planes'"
    assert "seen" not in str(refused.value)
