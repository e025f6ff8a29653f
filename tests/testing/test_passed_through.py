"""A stream feature view without aggregations has the last value of each field of its schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.testing import RepositoryDriver
from tests.support.clicks_project import NOON_MS
from tests.support.repository_config import repository_config

FEATURES = """
import json
from datetime import timedelta

from feast import Entity, Field, FileSource, KafkaSource, StreamFeatureView
from feast.data_format import AvroFormat
from feast.stream_feature_view import stream_feature_view
from feast.types import Bool, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

STEP = {
    "type": "record",
    "name": "Step",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "page", "type": ["null", "string"], "default": None},
        {"name": "new", "type": "boolean"},
        {"name": "price", "type": ["null", "double"], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
steps = KafkaSource(
    name="steps",
    topic="steps",
    timestamp_field="at",
    message_format=AvroFormat(json.dumps(STEP)),
    batch_source=FileSource(name="steps_log", path="data/steps", timestamp_field="event_timestamp"),
    tags={"headrace.key": "user"},
)
user = Entity(name="user", value_type=ValueType.STRING)
SCHEMA = [Field(name="user", dtype=String), Field(name="page", dtype=String), Field(name="new", dtype=Bool)]
passed = StreamFeatureView(
    name="passed",
    source=steps,
    entities=[user],
    timestamp_field="at",
    schema=[*SCHEMA, Field(name="price", dtype=Float64)],
)


@stream_feature_view(
    source=steps,
    entities=[user],
    ttl=timedelta(0),
    timestamp_field="at",
    schema=[Field(name="cents", dtype=Int64)],
    mode=MODE,
)
def derived(df):
    return df[df["price"].notna()].assign(cents=lambda paid: (paid["price"] * 100).astype("int64"))
"""
NAMES = ["passed:page", "passed:new", "passed:price", "derived:cents"]


def written(folder: Path, text: str) -> Path:
    (folder / "features.py").write_text(text)
    (folder / "feature_store.yaml").write_text(repository_config("steps"))
    return folder


def step(minutes: int, page: str | None, price: float | None) -> dict[str, object]:
    return {
        "user": "ada",
        "page": page,
        "new": price is None,
        "price": price,
        "at": NOON_MS + minutes * 60_000,
    }


def test_the_last_value_of_each_field_is_a_feature(tmp_path: Path) -> None:
    driver = RepositoryDriver(written(tmp_path, FEATURES.replace("MODE", '"pandas"')))

    def row() -> list[object]:
        return [values[0] for values in driver.get_online_features(NAMES, [{"user": "ada"}]).columns.values()]

    driver.send("steps", [step(0, "/home", 2.5), step(2, "/cart", 4.0), step(1, "/late", 3.0)])
    assert row() == ["/cart", False, 4.0, 400]
    driver.send("steps", [step(3, None, None)])
    assert row() == ["/cart", True, 4.0, 400]
    driver.advance("steps", NOON_MS + 30 * 24 * 3_600_000)
    assert row() == ["/cart", True, 4.0, 400]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'name="price", dtype=Float64',
            'name="price", dtype=Bool',
            "last of double does not fit type Bool",
        ),
        ('name="price", dtype=Float64', 'name="at", dtype=UnixTimestamp', "last of long does not fit"),
        (
            'name="price", dtype=Float64',
            'name="gone", dtype=Int64',
            "column 'gone' is not in the event schema",
        ),
        ('"pandas"', '"python"', "its mode is 'python'"),
        ('schema=[*SCHEMA, Field(name="price", dtype=Float64)]', "schema=SCHEMA[:1]", "nor a schema"),
    ],
)
def test_what_cannot_be_passed_through_is_left_out_and_the_rest_runs(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = FEATURES.replace("MODE", '"pandas"')
    assert text.count(old) == 1
    parts = compile_features(written(tmp_path, text.replace(old, new)))
    (left_out,) = parts.left_out
    assert said in str(left_out)
    assert len(parts.stream_views) == 1


def test_check_says_what_is_different(tmp_path: Path) -> None:
    parts = compile_features(written(tmp_path, FEATURES.replace("MODE", '"pandas"')))
    for view in parts.repository.contents.stream_feature_views:
        assert any("a null leaves the value before" in told for told in parts.differences[id(view)])
