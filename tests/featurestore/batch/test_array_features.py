"""Batch views with arrays, embeddings among them: from their table through the store to the client."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import DefinitionError
from tests.support.feast_online import point_to, taken_from_both
from tests.support.feature_values import shown

DAY = datetime(2013, 1, 1, tzinfo=UTC)
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 58, 700_000, tzinfo=UTC)  # down in a set, toward zero in a list
VIEW = """
    from feast.types import Array, Bytes, Decimal, Json, Set, Uuid

    planes = FeatureView(
        name="planes",
        entities=[carrier, origin],
        ttl=timedelta(0),
        schema=[
            Field(name="carrier", dtype=String),
            Field(name="origin", dtype=String),
            Field(name="embedding", dtype=Array(Float32)),
            Field(name="delays", dtype=Array(Float64)),
            Field(name="seats", dtype=Array(Int64)),
            Field(name="routes", dtype=Array(String)),
            Field(name="late", dtype=Array(Bool)),
            Field(name="seen", dtype=Array(UnixTimestamp)),
            Field(name="visits", dtype=Set(UnixTimestamp)),
            Field(name="classes", dtype=Set(Int64)),
            Field(name="raw", dtype=Bytes),
            Field(name="info", dtype=Json),
            Field(name="id", dtype=Uuid),
            Field(name="price", dtype=Decimal),
        ],
        source=FileSource(name="planes_table", path="data/planes.parquet", timestamp_field="valid_from"),
    )
"""
NUMBERS = np.random.default_rng(1).normal(size=(4, 16)).astype(np.float32)
EMBEDDINGS = pa.FixedSizeListArray.from_arrays(pa.array(NUMBERS.ravel()), 16)
TABLE: dict[str, Any] = {
    "carrier": pa.array(["UA", "AA", "UA", "ZZ"]),
    "origin": pa.array(["EWR", "EWR", "LGA", "LGA"]),
    "embedding": EMBEDDINGS,
    "delays": pa.array([[1.5, float("nan")], [], [-0.0], None], pa.list_(pa.float64())),
    "seats": pa.array([[1, -2, 2**62], [], [300], None], pa.list_(pa.int64())),
    "routes": pa.array([["EWR", ""], [], ["é"], None], pa.list_(pa.string())),
    "late": pa.array([[True, False], [], [True], None], pa.list_(pa.bool_())),
    "seen": pa.array([[DAY, DAY.replace(month=2)], [], [DAY], None], pa.list_(pa.timestamp("us", "UTC"))),
    "visits": pa.array([[BEFORE_1970], [DAY], [], None], pa.list_(pa.timestamp("us", "UTC"))),
    "classes": pa.array([[3, 1, 3], [], [7], None], pa.list_(pa.int64())),
    "raw": pa.array([b"\0\xff\0", b"", b"a", None], pa.binary()),
    "info": pa.array(['{"a": [1, null]}', "3", '"é"', None]),
    "id": pa.array(["12345678-1234-5678-1234-567812345678"] * 3 + [None]),
    "price": pa.array(["1.50", "0", "-3e7", None]),
    "valid_from": pa.array([DAY] * 4, pa.timestamp("us", "UTC")),
}
FEATURES = [name for name in TABLE if name not in ("carrier", "origin", "valid_from")]
NAMES = [f"planes:{name}" for name in FEATURES]
ROWS = pa.table({name: TABLE[name] for name in ("carrier", "origin")}).to_pylist()


@pytest.fixture
def planes(repo: Path, redis_url: str) -> Path:
    point_to(redis_url, repo)
    definitions = (repo / "features.py").read_text()
    start = definitions.index("airlines = FeatureView(")
    (repo / "features.py").write_text(definitions[:start] + textwrap.dedent(VIEW))
    pq.write_table(pa.table(TABLE), repo / "data" / "planes.parquet")
    return repo


def test_what_is_stored_is_what_feast_stores_byte_for_byte(planes: Path, redis_url: str) -> None:
    ours, feasts = taken_from_both(planes, redis_url, "planes")
    assert len(ours) == 4
    assert ours == feasts


def test_the_client_reads_what_the_table_has_and_what_feast_reads(planes: Path, redis_url: str) -> None:
    register(planes)
    plan = compile_features(planes).plan()
    materialize(planes, plan, redis_url)
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(NAMES, ROWS)
    store = FeatureStore(repo_path=str(planes))
    feasts = store.get_online_features(NAMES, ROWS, full_feature_names=True).to_dict()
    for name, values in found.columns.items():
        assert list(map(shown, values)) == list(map(shown, feasts[name])), name
    for name in ("delays", "seats", "routes", "late", "seen", "raw"):
        assert repr(found.columns[f"planes__{name}"]) == repr(TABLE[name].to_pylist()).replace(
            "<UTC>", "datetime.timezone.utc"
        ).replace("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc")
    assert found.columns["planes__classes"] == [{3, 1}, set(), {7}, None]
    assert found.statuses["planes__seats"] == [FieldStatus.PRESENT] * 3 + [FieldStatus.NULL_VALUE]
    assert found.rows()[0]["planes__routes"] == ["EWR", ""]
    np.testing.assert_array_equal(found.lists_to_numpy("planes__embedding"), NUMBERS)


def write(planes: Path, column: str, values: pa.Array) -> None:
    pq.write_table(pa.table({**TABLE, column: values}), planes / "data" / "planes.parquet")


TIMES = pa.list_(pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        ("delays", pa.array([[1.0, None]] * 4, pa.list_(pa.float64())), [1.0, float("nan")]),
        ("delays", pa.array([[1, 2]] * 4, pa.large_list(pa.int32())), [1.0, 2.0]),
        ("delays", pa.nulls(4), None),
        ("seats", pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float64())), [1, 2]),
        ("seen", pa.array([[DAY, None]] * 4, TIMES), [DAY, None]),
        ("routes", pa.array([["a", "b"]] * 4, pa.list_(pa.large_string())), ["a", "b"]),
    ],
)
def test_what_a_table_may_have_for_a_list(
    planes: Path, redis_url: str, column: str, values: pa.Array, wanted: Any
) -> None:
    write(planes, column, values)
    plan = compile_features(planes).plan()
    materialize(planes, plan, redis_url)
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features([f"planes:{column}"], ROWS).columns[f"planes__{column}"]
    assert list(map(repr, found)) == [repr(wanted)] * 4


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("seats", pa.array([[1], [1, None], [], None], pa.list_(pa.int64())), "row 1 has a null in it"),
        ("routes", pa.array([[], ["a"], [None], None], pa.list_(pa.string())), "row 2 has a null in it"),
        ("seats", pa.array([[1.5]] * 4, pa.list_(pa.float64())), "is 1.5, which is no Int64"),
        ("seats", pa.array([1, 2, 3, 4]), "it is int64, not Array.Int64."),
        ("seats", pa.array([["a"]] * 4, pa.list_(pa.string())), "it is string, not Int64"),
        ("raw", pa.array(["a"] * 4), "it is string, not Bytes"),
        ("id", pa.array(["a"] * 4), "row 0 is 'a', which is no Uuid"),
        ("price", pa.array(["1", "2", "x", None]), "row 2 is 'x', which is no Decimal"),
        ("info", pa.array(["{"] * 4), "row 0 is '{', which is no Json"),
    ],
)
def test_what_does_not_fit_is_refused(
    planes: Path, redis_url: str, column: str, values: pa.Array, said: str
) -> None:
    write(planes, column, values)
    with pytest.raises(DefinitionError, match=said) as caught:
        materialize(planes, compile_features(planes).plan(), redis_url)
    assert caught.value.name == f"feature view 'planes', column '{column}'"
