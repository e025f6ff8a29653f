"""Batch views with maps, structs, lists in lists and zoned times: from their table to the client."""

from __future__ import annotations

import asyncio
import re
import textwrap
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType
from pydantic import ValidationError

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.featurestore.redis_codec.layout import feature_field, value_tag
from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.featurestore.redis_codec.protobuf import behind_length
from headrace.schemas.errors import DefinitionError, HeadraceError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.nested_types import parse_type
from tests.support.feast_online import Hashes, point_to, taken_from_both
from tests.support.feature_values import NESTED, in_order, shown

DAY = datetime(2013, 1, 1, 12, tzinfo=UTC)
# Name, type, what stands in the table, what Feast's client gives; and whether Feast can write such a column.
FEATURES: list[tuple[str, str, pa.Array, list[Any], bool]] = [
    (
        "address",
        "Struct({'city': String, 'no': Int64, 'at': UnixTimestamp, 'sizes': Array(Float64), 'in': Map})",
        pa.array(
            [
                {"city": "é", "no": 2**40, "at": DAY, "sizes": [1.5, 2.0], "in": {"a": "x"}},
                {"city": None, "no": 0, "at": None, "sizes": None, "in": None},
                {"city": "", "no": -1, "at": DAY, "sizes": [0.5], "in": {"a": ""}},
                None,
            ],
        ),
        [
            {"city": "é", "no": 2.0**40, "at": DAY, "sizes": [1.5, 2.0], "in": {"a": "x"}},
            {"city": None, "no": 0.0, "at": None, "sizes": None, "in": None},
            {"city": "", "no": -1.0, "at": DAY, "sizes": [0.5], "in": {"a": ""}},
            None,
        ],
        True,
    ),
    (
        "people",
        "Array(Struct({'name': String}))",
        pa.array([[{"name": "a"}, {"name": None}], [], [{"name": "é"}], None]),
        [[{"name": "a"}, {"name": None}], [], [{"name": "é"}], None],
        True,
    ),
    (
        "notes",
        "Map",
        pa.array(['{"a": 1, "b": [1.5], "c": {"d": null}}', "{}", '{"l": [{"x": true}, {}]}', None]),
        [{"a": 1, "b": [1.5], "c": {"d": None}}, {}, {"l": [{"x": True}, {}]}, None],
        True,
    ),
    (
        "many_notes",
        "Array(Map)",
        pa.array(['[{"a": "b"}, {}]', "[]", "[{}]", None]),
        [[{"a": "b"}, {}], [], [{}], None],
        True,
    ),
    (
        "labels",
        "Map",
        pa.array([[("a", "b"), ("c", None)], [], [("", "")], None], pa.map_(pa.string(), pa.string())),
        [{"a": "b", "c": None}, {}, {"": ""}, None],
        False,
    ),
    (
        "counts",
        "ScalarMap",
        pa.array(
            [[{"key": 1, "value": "x"}, {"key": -2, "value": None}], [], [{"key": 0, "value": ""}], None]
        ),
        [{1: "x", -2: None}, {}, {0: ""}, None],
        False,
    ),
    (
        "matrix",
        "Array(Array(Int32))",
        pa.array([[[1, 2], [], None], [], [[-1]], None], pa.list_(pa.list_(pa.int32()))),
        [[[1, 2], None, None], [], [[-1]], None],
        True,
    ),
    (
        "deep",
        "Array(Array(Array(String)))",
        pa.array([[[["a", ""]], [["b"], None]], [[]], [[[]]], None]),
        [[[["a", ""]], [["b"], None]], [None], [[None]], None],
        True,
    ),
    (
        "times",
        "Array(Set(UnixTimestamp))",
        pa.array([[[DAY, DAY], None], [], [[None]], None], pa.list_(pa.list_(pa.timestamp("us", "UTC")))),
        [[[DAY, DAY], None], [], [[None]], None],
        True,
    ),
    ("sets", "Set(Array(Bool))", pa.array([[[True], [False, True]], [], [[]], None]),
     [[[True], [False, True]], [], [None], None], True),
    (
        "local",
        "ZonedTimestamp",
        pa.array([DAY, DAY - timedelta(days=50_000), None, None], pa.timestamp("us", "Asia/Tokyo")),
        [
            DAY.astimezone(ZoneInfo("Asia/Tokyo")),
            (DAY - timedelta(days=50_000)).astimezone(ZoneInfo("Asia/Tokyo")),
            None,
            None,
        ],
        False,
    ),
    (
        "spoken",
        "ZonedTimestamp",
        pa.array(["2013-01-01T13:00+01:00[Europe/Paris]", "2013-01-01T05:00-07:00", "2013-01-01T12", None]),
        [DAY.astimezone(ZoneInfo("Europe/Paris")), DAY.astimezone(timezone(timedelta(hours=-7))), DAY, None],
        False,
    ),
]  # fmt: skip
KEYS = {"carrier": ["UA", "AA", "UA", "ZZ"], "origin": ["EWR", "EWR", "LGA", "LGA"]}
ROWS = pa.table(KEYS).to_pylist()
NAMES = [f"planes:{name}" for name, *_ in FEATURES]
TABLE: dict[str, Any] = {
    **KEYS,
    **{name: column for name, _, column, _, _ in FEATURES},
    "valid_from": pa.array([DAY] * 4, pa.timestamp("us", "UTC")),
}
VIEW = """
    from feast.types import Array, Map, ScalarMap, Set, Struct, ZonedTimestamp

    planes = FeatureView(
        name="planes",
        entities=[carrier, origin],
        ttl=timedelta(0),
        schema=[Field(name="carrier", dtype=String), Field(name="origin", dtype=String), {fields}],
        source=FileSource(name="planes_table", path="data/planes.parquet", timestamp_field="valid_from"),
    )
    planes_service = FeatureService(name="planes", features=[planes])
"""

ON_DEMAND = """
    from feast.on_demand_feature_view import on_demand_feature_view

    @on_demand_feature_view(sources=[planes], schema=[Field(name="text", dtype=String)], mode="python")
    def told(inputs):
        names = ("labels", "counts", "matrix", "notes", "spoken")
        return {"text": [" ".join(map(str, row)) for row in zip(*(inputs[name] for name in names))]}

    told_service = FeatureService(name="told", features=[told])
"""


def write_view(repo: Path, fields: dict[str, str]) -> None:
    definitions = re.split(
        "airlines = FeatureView|from feast.types import Array", (repo / "features.py").read_text()
    )[0]
    own = ", ".join(f"Field(name={name!r}, dtype={dtype})" for name, dtype in fields.items())
    (repo / "features.py").write_text(definitions + textwrap.dedent(VIEW).format(fields=own))


@pytest.fixture
def planes(repo: Path, redis_url: str) -> Path:
    point_to(redis_url, repo)
    write_view(repo, {name: dtype for name, dtype, *_ in FEATURES})
    pq.write_table(pa.table(TABLE), repo / "data" / "planes.parquet")
    return repo


def ordered(hashes: Hashes) -> dict[bytes, dict[str, bytes]]:
    """The values of all hashes by feature, entries of maps in order."""
    fields = {name: (feature_field("planes", name), dtype) for name, dtype, _, _, feast in FEATURES if feast}
    return {
        key: {name: in_order(dtype, row[field]) for name, (field, dtype) in fields.items()}
        for key, row in hashes.items()
    }


def test_what_is_stored_is_what_feast_stores_byte_for_byte(planes: Path, redis_url: str) -> None:
    write_view(planes, {name: dtype for name, dtype, _, _, feast in FEATURES if feast})
    ours, feasts = taken_from_both(planes, redis_url, "planes")
    assert len(ours) == 4
    assert ordered(ours) == ordered(feasts)


def test_both_clients_read_what_feast_reads(planes: Path, redis_url: str) -> None:
    register(planes)
    plan = compile_features(planes).plan()
    materialize(planes, plan, redis_url)
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(NAMES, ROWS)

    async def ask() -> Any:
        async with AsyncFeatureClient(plan, redis_url) as other:
            return await other.get_online_features(NAMES, ROWS)

    assert asyncio.run(ask()) == found
    store = FeatureStore(repo_path=str(planes))
    feasts = store.get_online_features(NAMES, ROWS, full_feature_names=True).to_dict()
    for name, _, _, wanted, _ in FEATURES:
        assert shown(found.columns[f"planes__{name}"]) == shown(feasts[f"planes__{name}"]), name
        assert shown(wanted) == shown(found.columns[f"planes__{name}"]), name
    assert found.statuses["planes__notes"] == [FieldStatus.PRESENT] * 3 + [FieldStatus.NULL_VALUE]
    assert found.rows()[1]["planes__labels"] == {}
    objects = found.objects_to_numpy(["planes__matrix", "planes__notes"])
    assert objects.shape == (4, 2)
    assert objects[0].tolist() == [[[1, 2], None, None], {"a": 1, "b": [1.5], "c": {"d": None}}]
    assert objects[3].tolist() == [None, None]
    for name, said in [
        ("planes__notes", "'planes__notes' is a dict"),
        ("planes__matrix", "is a list in a list"),
    ]:
        with pytest.raises(HeadraceError, match=said):
            found.lists_to_numpy(name) if "list" in said else found.to_numpy([name])


def test_a_training_set_has_them_as_the_table_has_them(planes: Path, tmp_path: Path) -> None:
    plan = compile_features(planes).plan()
    asked = pa.table({**KEYS, "event_timestamp": pa.array([DAY] * 4, pa.timestamp("us", "UTC"))})
    found = as_of_event_time(plan, "planes", asked, tmp_path / "log", planes)
    for name, _, column, _, _ in FEATURES:
        own = column.cast(pa.timestamp("us", "UTC")) if name == "local" else column
        assert shown(found[f"planes__{name}"].to_pylist()) == shown(own.to_pylist()), name


def test_a_function_gets_the_same_online_and_in_a_training_set(
    planes: Path, redis_url: str, tmp_path: Path
) -> None:
    with (planes / "features.py").open("a") as file:
        file.write(textwrap.dedent(ON_DEMAND))
    plan = compile_features(planes).plan()
    materialize(planes, plan, redis_url)
    with FeatureClient(plan, redis_url, repo_dir=planes) as client:
        online = client.get_online_features("told", ROWS).columns["told__text"]
    asked = pa.table({**KEYS, "event_timestamp": pa.array([DAY] * 4, pa.timestamp("us", "UTC"))})
    found = as_of_event_time(plan, "told", asked, tmp_path / "log", planes)
    assert found["told__text"].to_pylist() == online
    assert "{'a': 'b', 'c': None} {1: 'x', -2: None} [[1, 2], None, None]" in online[0]


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("Map", pa.array(["[1]"]), r"row 0: \[1\] is no Map"),
        ("Map", pa.array(["null"]), "row 0 is the JSON null"),
        ("Map", pa.array(["{"]), "row 0 is '{', which is no Map"),
        ("Map", pa.array([1]), "row 0: 1 is no Map; give a map"),
        ("Map", pa.array(['{"a": [[1]]}']), "a list in a list has no place in a map"),
        ("Map", pa.array(['{"a": [1, "b"]}']), "there are Int64 and String in one list"),
        ("Map", pa.array(['{"a": [1, null]}']), "None has no place in a list"),
        ("Map", pa.array(['{"a": 9223372036854775808}']), "beyond 64 bits"),
        ("Array(Map)", pa.array(["[null]"]), "row 0: None is no map"),
        ("ScalarMap", pa.array(['{"1": 2}']), "keys in JSON are"),
        ("ScalarMap", pa.array([{"a": 1}]), "the key 'a' of a ScalarMap is no number"),
        ("Struct({'a': Int64})", pa.array([{"b": 1}]), "is no Struct"),
        ("Struct({'a': Int64})", pa.array([{"a": "x"}]), "'x' is no Int64"),
        ("Struct({'a': Int64})", pa.array([{"a": 1.5}]), "1.5 is no Int64"),
        ("Struct({'a': Int64})", pa.array([{"a": True}]), "True is no Int64"),
        ("Array(Array(Int64))", pa.array([[["a"]]]), "'a' is no Int64"),
        ("Array(Array(Int64))", pa.array([[[1.5]]]), r"\[1.5\] is no Array.Int64."),
        ("Array(Array(Bool))", pa.array([[[1]]]), r"\[1\] is no Array.Bool."),
        ("Array(Array(String))", pa.array([["a"]]), "'a' is no Array.String."),
        ("Array(Array(String))", pa.array([[["a", None]]]), "None has no place in a list"),
        ("ZonedTimestamp", pa.array([5]), "5 is no ZonedTimestamp"),
        ("ZonedTimestamp", pa.array(["2013-01-01[Nowhere/Town]"]), "which is no ZonedTimestamp"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    planes: Path, redis_url: str, dtype: str, values: pa.Array, said: str
) -> None:
    write_view(planes, {"x": dtype})
    columns: dict[str, Any] = {name: TABLE[name].slice(0, 1) if name == "valid_from" else TABLE[name][:1]
                               for name in ("carrier", "origin", "valid_from")}  # fmt: skip
    pq.write_table(pa.table({**columns, "x": values}), planes / "data" / "planes.parquet")
    with pytest.raises(DefinitionError, match=said) as caught:
        materialize(planes, compile_features(planes).plan(), redis_url)
    assert caught.value.name == "feature view 'planes', column 'x'"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ValueType.STRUCT, {"a": {1: 2}}),
        (ValueType.STRUCT, {"a": [[1], [2]]}),
        (ValueType.STRUCT_LIST, [{"a": [[1]]}]),
        (ValueType.MAP, {"a": []}),
    ],
)
def test_what_plan_and_materialize_refuse_or_mend_is_what_feast_cannot_write(
    kind: ValueType, value: Any
) -> None:
    """The last is written as an empty list of texts, which Feast reads as an empty list."""
    with pytest.raises((TypeError, ValueError)):
        python_values_to_proto_values([value], kind)
    if kind == ValueType.MAP:
        raw = value_tag("Map") + behind_length(encode_message("Map", value))
        assert decode_values([raw]) == [feast_value_type_to_python_type(Value.FromString(raw))] == [value]


def test_types_of_several_parts_are_written_as_they_are_read() -> None:
    for name in NESTED:
        assert str(parse_type(name)) == name
        assert FieldSpec(name="x", dtype=name).dtype == name
    for name in [
        "Array(",
        "Array(Int64",
        "Struct({})",
        "Struct({a})",
        "Set(Json)",
        "Itn64",
        "Map)",
        "",
        "Array()",
    ]:
        with pytest.raises(ValidationError, match="dtype"):
            FieldSpec(name="x", dtype=name)
