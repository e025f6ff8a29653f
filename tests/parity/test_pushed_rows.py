"""Rows that the SDK pushes and Feast pushes are the same bytes, and each reads what the other has pushed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast.feature_server import get_app
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.redis_codec.layout import feature_field
from headrace.learners.feature_server.process import FeatureServer
from tests.support.feast_online import FEATURES, KEYS, FeastOnline, Hashes, feast_online, take_hashes
from tests.support.feature_values import shown
from tests.support.properties import tries
from tests.support.pushed_tables import PUSHED, ROW, Row, complete, frame

NO_TIME = b"@" + b"\x80" * 9 + b"\x01"  # how Feast pushes a null among times
TIMES = {feature_field(view, "f_unixtimestamp") for view in KEYS}


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> FeastOnline:
    folder = tmp_path_factory.mktemp("feast")
    return feast_online(folder, redis_url, f"t{uuid.uuid4().hex[:12]}", pushed=True)


@pytest.fixture(scope="module")
def client(online: FeastOnline, redis_url: str) -> Iterator[FeatureClient]:
    with FeatureClient(online.plan, redis_url) as client:
        yield client


def plain(hashes: Hashes) -> Hashes:
    """Rows without Feast's number for no time, which both read as a null."""
    return {
        key: {field: b"" if field in TIMES and value == NO_TIME else value for field, value in fields.items()}
        for key, fields in hashes.items()
    }


def has_value(row: Row) -> bool:
    """Feast writes nothing of a frame without any value: a frame of the tests has one."""
    return any(row[f.name] is not None for f in PUSHED)


@tries(40)
@given(pushes=st.lists(st.lists(ROW, min_size=1, max_size=6).filter(lambda rows: any(map(has_value, rows))),
                       min_size=1, max_size=3))  # fmt: skip
def test_the_rows_that_stay_are_those_of_feast_byte_for_byte(
    online: FeastOnline, client: FeatureClient, redis_url: str, pushes: list[list[Row]]
) -> None:
    take_hashes(redis_url, online.plan.project)
    for rows in pushes:
        online.store.push("by_both_pushes", frame(rows))
    theirs = plain(take_hashes(redis_url, online.plan.project))
    forms: list[Any] = [complete, frame, lambda rows: pa.Table.from_pandas(frame(rows))]
    forms.append(lambda rows: frame(rows).to_dict("list"))
    for form in forms:
        for rows in pushes:
            client.push("by_both_pushes", form(rows))
        assert plain(take_hashes(redis_url, online.plan.project)) == theirs


@tries(20)
@given(rows=st.lists(ROW.filter(has_value), min_size=1, max_size=4))
def test_each_reads_what_the_other_has_pushed(
    online: FeastOnline, client: FeatureClient, redis_url: str, rows: list[Row]
) -> None:
    keys = [{"user": row["user"], "place": row["place"]} for row in rows]
    names = [f"{view}:{f.name}" for view in KEYS for f in FEATURES]
    found = []
    for push in (client.push, online.store.push):
        take_hashes(redis_url, online.plan.project)
        for view in KEYS:
            push(f"{view}_pushes", frame(rows))
        read = client.get_online_features(names, keys).to_dict()
        theirs = online.store.get_online_features(names, keys, full_feature_names=True).to_dict()
        assert shown({name: read[name] for name in theirs}) == shown(theirs)
        found.append(shown(read))
    assert found[0] == found[1]


def test_a_later_row_of_feast_stays_and_an_earlier_one_goes(
    online: FeastOnline, client: FeatureClient, redis_url: str
) -> None:
    take_hashes(redis_url, online.plan.project)
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    row = {"user": 1, "place": "", "at": noon, "f_int64": 1, "f_string": "of feast"}
    online.store.push("by_user_pushes", frame([row]))
    for at, number, stays in ((noon.replace(hour=11), 2, 1), (noon, 3, 1), (noon.replace(hour=13), 4, 4)):
        assert client.push("by_user_pushes", complete([{**row, "at": at, "f_int64": number}])) == {
            "by_user": int(stays == number)
        }
        read = client.get_online_features(["by_user:f_int64"], [{"user": 1}])
        assert read.columns["by_user__f_int64"] == [stays]
    online.store.push("by_user_pushes", frame([{**row, "f_int64": 5}]))
    assert client.get_online_features(["by_user:f_int64"], [{"user": 1}]).columns["by_user__f_int64"] == [4]


def test_the_feature_server_writes_what_feasts_writes(
    online: FeastOnline, redis_url: str, tmp_path: Path
) -> None:
    """The body is that of Feast's documentation: columns, and times as `str` writes them."""
    values = {
        "user": [1, 2], "place": ["a", "é"], "at": [str(datetime(2024, 1, 1)), str(datetime(2024, 1, 2, 3))],
        "f_int32": [5, 6], "f_int64": [7, -8], "f_float32": [0.5, 1.5], "f_float64": [0.1, 2.0],
        "f_string": ["", "é"], "f_bool": [True, False], "f_json": ['{"a": 1}', "2"], "more": [1, 2],
        "f_array_int64": [[1, -2], [3]], "f_array_string": [["a"], ["b", "c"]], "f_array_bool": [[True], []],
    }  # fmt: skip
    df = {**{f.name: [None, None] for f in FEATURES}, **values}
    body = {"push_source_name": "by_both_pushes", "df": df, "to": "online"}
    take_hashes(redis_url, online.plan.project)
    with TestClient(get_app(online.store)) as client:
        assert client.post("/push", json=body).status_code == 200
    theirs = plain(take_hashes(redis_url, online.plan.project))
    assert len(theirs) == 2
    server = FeatureServer(online.plan, redis_url, tmp_path)
    with TestClient(server.app, base_url="http://localhost") as client:
        assert client.post("/push", json=body).json() == {"written": {"by_both": 2}}
    assert plain(take_hashes(redis_url, online.plan.project)) == theirs
