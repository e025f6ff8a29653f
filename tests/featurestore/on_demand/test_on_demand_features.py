"""On-demand views: Feast's values, in one call for all rows, and nothing loaded before it is needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import DefinitionError, HeadraceError, UnknownNameError
from headrace.schemas.feature_specs import OnDemandViewSpec
from headrace.schemas.plan import Plan
from tests.support.feast_online import connection_string
from tests.support.repository_config import repository_config

NEIGHBOUR = "FACTOR = 10.0\n"
DEFINITIONS = """
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from factors import FACTOR

user = Entity(name="user", value_type=ValueType.INT64)
spending = FeatureView(
    name="spending",
    entities=[user],
    schema=[
        Field(name="user", dtype=Int64),
        Field(name="total", dtype=Float64),
        Field(name="n", dtype=Int64),
        Field(name="city", dtype=String),
        Field(name="since", dtype=UnixTimestamp),
        Field(name="vip", dtype=Bool),
    ],
    source=FileSource(name="spending_table", path="data/spending.parquet", timestamp_field="at"),
)
other = FeatureView(
    name="other",
    entities=[user],
    schema=[Field(name="user", dtype=Int64), Field(name="score", dtype=Float64)],
    source=FileSource(name="other_table", path="data/other.parquet", timestamp_field="at"),
)
basket = RequestSource(name="basket", schema=[Field(name="price", dtype=Float64)])


@on_demand_feature_view(
    sources=[spending, basket],
    schema=[
        Field(name="mean", dtype=Float64),
        Field(name="ratio", dtype=Float64),
        Field(name="big", dtype=Bool),
        Field(name="place", dtype=String),
        Field(name="since_copy", dtype=UnixTimestamp),
    ],
    mode="pandas",
)
def by_frame(df):
    import pandas as pd

    out = pd.DataFrame()
    out["mean"] = df["total"] / df["n"]
    out["ratio"] = 10.0 * df["price"] / df["spending__total"]
    out["big"] = df["price"] > 50
    out["place"] = df["city"].str.upper()
    out["since_copy"] = df["since"]
    return out


@on_demand_feature_view(
    sources=[spending, basket],
    schema=[
        Field(name="more", dtype=Int64),
        Field(name="label", dtype=String),
        Field(name="twice", dtype=Array(Int64)),
    ],
    mode="python",
)
def by_columns(inputs):
    return {
        "more": [None if n is None else n + int(price) for n, price in zip(inputs["n"], inputs["price"])],
        "twice": [None if n is None else [n, 2 * n] for n in inputs["n"]],
        "label": [f"{city} {n}" for city, n in zip(inputs["city"], inputs["spending__n"])],
    }


@on_demand_feature_view(
    sources=[spending], schema=[Field(name="known", dtype=Bool)], mode="python", singleton=True
)
def by_row(inputs):
    return {"known": inputs["n"] is not None and FACTOR == 10.0}


everything = FeatureService(name="everything", features=[by_frame, by_columns, other])
stored_alone = FeatureService(name="stored_alone", features=[spending])
"""
TYPES = {"spending": ("total", "n", "city", "since", "vip")}
COMPLETE = {"user": [1, 2], "price": [20.0, 80.0]}
HOLES = {"user": [3, 1, 99], "price": [20.0, 60.0, 70.0]}  # 3 has nulls, 99 has no row


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    folder = tmp_path_factory.mktemp("on_demand")
    (folder / "features.py").write_text(DEFINITIONS)
    (folder / "factors.py").write_text(NEIGHBOUR)
    project = f"t{uuid.uuid4().hex[:12]}"
    config = repository_config(project, connection_string(redis_url))
    (folder / "feature_store.yaml").write_text(config)
    register(folder)
    return folder


@pytest.fixture(scope="module")
def plan(repo: Path, redis_url: str) -> Plan:
    plan = compile_features(repo).plan()
    asyncio.run(_write(redis_url, plan))
    return plan


async def _write(redis_url: str, plan: Plan) -> None:
    users = np.array([1, 2, 3])
    known, some = np.ones(3, np.bool_), np.array([True, True, False])
    at = np.full(3, 1_700_000_000_000_000)
    values = {
        "total": (np.array([10.0, 30.0, 5.0]), known),
        "n": (np.array([4, 3, 0]), some),
        "city": ([b"rome", b"oslo", b""], some),
        "since": (np.array([86_400_000, 0, 0]), some),
        "vip": (np.array([True, False, False]), known),
        "score": (np.array([0.5, 0.25, 0.0]), some),
    }
    sink = RedisOnlineSink(redis_url, plan)
    for view in plan.batch_views:
        await sink.write_batch_view(view.name, [users], [values[f.name] for f in view.features], at)
    await sink.close()


@pytest.fixture
def client(plan: Plan, repo: Path, redis_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(plan, redis_url, repo_dir=repo) as client:
        yield client


NAMES = [
    *(f"by_frame:{name}" for name in ("mean", "ratio", "big", "place", "since_copy")),
    "by_columns:more",
    "by_columns:label",
    "by_columns:twice",
    "other:score",
]


@pytest.mark.parametrize("rows", [COMPLETE, HOLES], ids=["complete", "holes"])
def test_values_are_those_of_feast(client: FeatureClient, repo: Path, rows: dict[str, list[Any]]) -> None:
    entity_rows = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    store = FeatureStore(repo_path=str(repo))
    feasts = store.get_online_features(NAMES, entity_rows, full_feature_names=False).to_dict()
    ours = client.get_online_features(NAMES, entity_rows, full_feature_names=False)
    assert ours.to_dict().keys() == feasts.keys()
    for name, values in ours.to_dict().items():
        assert values == [None if value != value else value for value in feasts[name]], name
    service = client.get_online_features(store.get_feature_service("everything"), entity_rows, False)
    assert service == ours


def test_full_names_and_columns_give_the_same_values(client: FeatureClient) -> None:
    short = client.get_online_features(NAMES, COMPLETE, full_feature_names=False)
    full = client.get_online_features(NAMES, COMPLETE)
    assert list(full.columns) == [name.replace(":", "__") for name in NAMES]
    assert list(full.columns.values()) == list(short.columns.values())
    assert "spending__total" not in full.columns  # read for the function, and not asked for


def test_what_follows_from_missing_values_is_null(client: FeatureClient) -> None:
    found = client.get_online_features(["by_frame:mean", "by_row:known", "by_columns:more"], HOLES)
    present, null = FieldStatus.PRESENT, FieldStatus.NULL_VALUE
    assert found.columns["by_frame__mean"] == [None, 2.5, None]
    assert found.statuses["by_frame__mean"] == [null, present, null]
    assert found.columns["by_row__known"] == [False, True, False]
    assert found.statuses["by_columns__more"] == [null, present, null]


def test_inputs_have_their_types_when_all_are_missing(client: FeatureClient) -> None:
    found = client.get_online_features(["by_frame:mean", "by_frame:place"], {"user": [99], "price": [1.0]})
    assert found.columns == {"by_frame__mean": [None], "by_frame__place": [None]}


def test_a_function_is_called_once_for_all_rows(
    client: FeatureClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    found = OnDemandFunctions.function

    def counted(self: OnDemandFunctions, spec: OnDemandViewSpec) -> Any:
        function = found(self, spec)

        def call(inputs: Any) -> Any:
            calls.append(len(inputs["price"]))
            return function(inputs)

        return call

    monkeypatch.setattr(OnDemandFunctions, "function", counted)
    client.get_online_features(NAMES, {"user": list(range(500)), "price": [1.0] * 500})
    assert calls == [500, 500]
    assert client.get_online_features(NAMES, []).columns["by_frame__mean"] == []
    assert calls == [500, 500]


async def test_the_async_client_computes_the_same(
    client: FeatureClient, plan: Plan, repo: Path, redis_url: str
) -> None:
    async with AsyncFeatureClient(plan, redis_url, repo_dir=repo) as other:
        found = await other.get_online_features("everything", HOLES)
    assert found == client.get_online_features("everything", HOLES)


def test_an_expired_input_is_missing(plan: Plan, repo: Path, redis_url: str) -> None:
    views = tuple(view.model_copy(update={"ttl_ms": 1000}) for view in plan.batch_views)
    with FeatureClient(plan.model_copy(update={"batch_views": views}), redis_url, repo_dir=repo) as client:
        found = client.get_online_features(["by_row:known"], {"user": [1]}, now_ms=1_700_000_002_000)
    assert found.columns == {"by_row__known": [False]}


def test_a_request_field_that_is_missing_is_named(client: FeatureClient) -> None:
    with pytest.raises(UnknownNameError, match="request field not found: 'price'; did you mean 'pirce'"):
        client.get_online_features(NAMES, [{"user": 1, "pirce": 3.0}])
    client.get_online_features(["other:score"], [{"user": 1}])  # which nothing else needs


def test_without_the_repository_only_stored_features_are_served(plan: Plan, redis_url: str) -> None:
    with FeatureClient(plan, redis_url) as client:
        assert client.get_online_features("stored_alone", {"user": [1]}).columns["spending__n"] == [4]
        with pytest.raises(
            HeadraceError, match=r"'by_columns' is computed by a function in features.py.*repo_dir"
        ):
            client.get_online_features("everything", COMPLETE)


def test_a_function_that_is_not_the_plans_is_refused(
    plan: Plan, repo: Path, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "factors.py").write_text(NEIGHBOUR)
    (tmp_path / "features.py").write_text(DEFINITIONS.replace("> 50", "> 60"))
    with (
        FeatureClient(plan, redis_url, repo_dir=tmp_path) as client,
        pytest.raises(DefinitionError, match=r"another one than that of the plan.*headrace apply"),
    ):
        client.get_online_features("everything", COMPLETE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('return {"known"', "raise KeyError('oh') or {\"known\""), "raises KeyError: 'oh'"),
        (('return {"known"', 'return {"knwon"'), "gives no 'known'.*Known: knwon"),
    ],
)
def test_a_function_that_fails_is_named(
    change: tuple[str, str], said: str, repo: Path, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "factors.py").write_text(NEIGHBOUR)
    (tmp_path / "feature_store.yaml").write_text((repo / "feature_store.yaml").read_text())
    (tmp_path / "features.py").write_text(DEFINITIONS.replace(*change))
    plan = compile_features(tmp_path).plan()
    with (
        FeatureClient(plan, redis_url, repo_dir=tmp_path) as client,
        pytest.raises(DefinitionError, match=f"features.py: on demand feature view 'by_row'.*{said}"),
    ):
        client.get_online_features(["by_row:known"], COMPLETE)


def test_stored_features_load_neither_pandas_nor_feast(plan: Plan, repo: Path, redis_url: str) -> None:
    program = f"""
import sys
from headrace import FeatureClient
from headrace.schemas.plan import Plan
plan = Plan.from_json({plan.to_json()!r})
with FeatureClient(plan, {redis_url!r}, repo_dir={str(repo)!r}) as client:
    client.get_online_features("stored_alone", {{"user": [1]}})
    print([m for m in ("pandas", "feast") if m in sys.modules])
    client.get_online_features("everything", {{"user": [1], "price": [1.0]}})
    print([m for m in ("pandas", "feast") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "['pandas', 'feast']"]


def test_a_tag_for_what_is_stored_is_refused(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "factors.py").write_text(NEIGHBOUR)
    (tmp_path / "feature_store.yaml").write_text((repo / "feature_store.yaml").read_text())
    tagged = DEFINITIONS.replace("singleton=True", 'singleton=True, tags={"headrace.expect.known": "in=1"}')
    (tmp_path / "features.py").write_text(tagged)
    with pytest.raises(DefinitionError, match=r"'by_row': tag 'headrace.expect.known' means nothing"):
        compile_features(tmp_path)
