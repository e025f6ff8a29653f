"""Join keys of every type that Feast writes into Redis: from the table to the client, and what is refused."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.errors import HeadraceError
from tests.support.edits import refusal
from tests.support.feast_online import point_to, taken_from_both

DAY = datetime(2013, 1, 1, tzinfo=UTC)
VIEW = """
    from feast.types import Bytes

    moment = Entity(name="moment", value_type=ValueType.UNIX_TIMESTAMP)
    token = Entity(name="token", value_type=ValueType.BYTES)
    tokens = FeatureView(
        name="tokens",
        entities=[moment, carrier, token],
        ttl=timedelta(0),
        schema=[
            Field(name="token", dtype=Bytes),
            Field(name="moment", dtype=UnixTimestamp),
            Field(name="carrier", dtype=String),
            Field(name="uses", dtype=Int64),
        ],
        source=FileSource(name="tokens_table", path="data/tokens.parquet", timestamp_field="valid_from"),
    )
"""
TABLE = pa.table(
    {
        "token": pa.array([b"\0\xff", b"a", b"\0\xff\0"], pa.binary()),
        "moment": pa.array([DAY, DAY, DAY - timedelta(days=20_000)], pa.timestamp("us", "UTC")),
        "carrier": ["UA", "é", ""],
        "uses": [1, 2, 3],
        "valid_from": pa.array([DAY] * 3, pa.timestamp("us", "UTC")),
    }
)
ROWS = TABLE.select(["token", "moment", "carrier"]).to_pylist()


@pytest.fixture
def tokens(repo: Path, redis_url: str, append: Callable[[str], None]) -> Path:
    point_to(redis_url, repo)
    definitions = (repo / "features.py").read_text()
    (repo / "features.py").write_text(definitions[: definitions.index("airlines = FeatureView(")])
    append(textwrap.dedent(VIEW))
    pq.write_table(TABLE, repo / "data" / "tokens.parquet")
    return repo


def test_what_is_stored_is_what_feast_stores_byte_for_byte(tokens: Path, redis_url: str) -> None:
    ours, feasts = taken_from_both(tokens, redis_url, "tokens")
    assert len(ours) == 3
    assert ours == feasts


def test_the_client_reads_what_feast_reads(tokens: Path, redis_url: str) -> None:
    register(tokens)
    plan = compile_features(tokens).plan()
    materialize(tokens, plan, redis_url)
    rows: list[dict[str, Any]] = [*ROWS, {**ROWS[0], "token": b"\0"}]
    store = FeatureStore(repo_path=str(tokens))
    feasts = store.get_online_features(["tokens:uses"], rows).to_dict()["uses"]
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(["tokens:uses"], rows)
        zone = timezone(timedelta(hours=5))
        for moment in (DAY.astimezone(zone), DAY.replace(tzinfo=None), int(DAY.timestamp())):
            again = client.get_online_features(["tokens:uses"], [{**ROWS[0], "moment": moment}])
            assert again.columns["tokens__uses"] == [1]
        for name, value, said in [
            ("token", "a", "'token' takes bytes; row 0 has 'a'"),
            ("moment", "2013", "'moment' takes datetimes, or whole seconds since 1970; row 0 has '2013'"),
        ]:
            with pytest.raises(HeadraceError, match=said):
                client.get_online_features(["tokens:uses"], [{**ROWS[0], name: value}])
    assert found.columns["tokens__uses"] == feasts == [1, 2, 3, None]


def retype(repo: Path, kind: ValueType) -> None:
    """Give the carriers of a repository another type."""
    file = repo / "features.py"
    text = file.read_text().replace('        Field(name="carrier", dtype=String),\n', "")
    file.write_text(
        text.replace('name="carrier", value_type=ValueType.STRING', f'name="carrier", value_type={kind}')
    )


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ValueType.DOUBLE, "Float64", 1.5),
        (ValueType.BOOL, "Bool", True),
        (ValueType.UUID, "Uuid", "12345678-1234-5678-1234-567812345678"),
        (ValueType.DECIMAL, "Decimal", "1.5"),
        (ValueType.JSON, "Json", "{}"),
        (ValueType.ZONED_TIMESTAMP, "ZonedTimestamp", DAY),
    ],
)
def test_a_view_of_what_feast_cannot_write_into_a_key_is_left_out(
    repo: Path, kind: ValueType, name: str, value: Any
) -> None:
    values = python_values_to_proto_values([value], kind)
    with pytest.raises(ValueError, match="Value type not supported"):
        serialize_entity_key(EntityKey(join_keys=["carrier"], entity_values=values))
    retype(repo, kind)
    parts = compile_features(repo)
    assert (parts.stream_views, parts.batch_views) == ((), ())
    for error in parts.left_out[:2]:
        assert f"join key 'carrier' has type {name}, which Feast" in error.problem
        assert "UnixTimestamp, Bytes" in error.remedy


def test_events_bring_no_times_and_no_bytes_as_keys(repo: Path) -> None:
    retype(repo, ValueType.UNIX_TIMESTAMP)
    error = refusal(repo)
    assert "join key 'carrier' is UnixTimestamp, which events do not bring as a key" in str(error)
