"""Texts and enums of events: as features, as join keys, and held to what is expected of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.testing import RepositoryDriver
from tests.support.clicks_project import NOON_MS
from tests.support.repository_config import repository_config

FEATURES = """
import json
from datetime import timedelta

from feast import Entity, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat, JsonFormat
from feast.types import Array, Bool, Int64, String
from feast.value_type import ValueType

KIND = {"type": "enum", "name": "shop.Kind", "symbols": ["VIEW", "BUY", "SELL"]}
STEP = {
    "type": "record",
    "name": "Step",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "kind", "type": KIND},
        {"name": "before", "type": ["null", "shop.Kind"], "default": None},
        {"name": "page", "type": ["null", "string"], "default": None},
        {"name": "new", "type": "boolean"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
HOUR = {"time_window": timedelta(hours=1), "slide_interval": timedelta(minutes=30)}
steps = KafkaSource(
    name="steps",
    topic="steps",
    timestamp_field="at",
    message_format=FORMAT,
    batch_source=FileSource(name="steps_log", path="data/steps", timestamp_field="event_timestamp"),
    tags={
        "headrace.key": "user",
        "headrace.expect.kind": "in=VIEW|BUY quarantine",
        "headrace.expect.page": "in=/home|/cart",
    },
)

user = Entity(name="user", value_type=ValueType.STRING)
kind = Entity(name="kind", value_type=ValueType.STRING)


def view(name, key, **features):
    return StreamFeatureView(
        name=name,
        source=steps,
        entities=[key],
        timestamp_field="at",
        schema=[
            Field(name=key.name, dtype=String),
            *(Field(name=feature, dtype=dtype) for feature, (_, _, dtype) in features.items()),
        ],
        aggregations=[
            Aggregation(name=feature, column=column, function=function, **HOUR)
            for feature, (function, column, _) in features.items()
        ],
        tags={"headrace.expect.page": "in=/home"} if "page" in features else {},
    )


by_user = view(
    "by_user",
    user,
    page=("last", "page", String),
    entry=("first", "page", String),
    kind=("last", "kind", String),
    new=("last", "new", Bool),
    before=("last_2", "before", Array(String)),
)
by_kind = view("by_kind", kind, n=("count", "user", Int64), user=("last", "user", String))
"""
FORMATS = {"avro": "AvroFormat(json.dumps(STEP))", "json": "JsonFormat(schema_json=json.dumps(STEP))"}


@pytest.fixture(params=FORMATS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> RepositoryDriver:
    (tmp_path / "features.py").write_text(FEATURES.replace("FORMAT,", f"{FORMATS[request.param]},"))
    (tmp_path / "feature_store.yaml").write_text(repository_config("steps"))
    return RepositoryDriver(tmp_path)


def step(user: str, minutes: int, kind: str = "VIEW", page: str | None = "/home", new: bool = False) -> dict:
    return {"user": user, "kind": kind, "page": page, "new": new, "at": NOON_MS + minutes * 60_000}


NAMES = [f"by_user:{name}" for name in ("page", "entry", "kind", "new", "before")]


def row(driver: RepositoryDriver, user: str) -> list[object]:
    return [values[0] for values in driver.get_online_features(NAMES, [{"user": user}]).columns.values()]


def test_the_first_and_the_last_text_are_features(driver: RepositoryDriver) -> None:
    driver.send("steps", [step("ada", 0, new=True), step("ada", 2, "BUY", "/größe"), step("ada", 1, page="")])
    assert row(driver, "ada") == ["/größe", "/home", "BUY", False, None]
    driver.send("steps", [{**step("ada", 3, page=None), "before": "BUY"}])
    assert row(driver, "ada") == ["/größe", "/home", "VIEW", False, ["BUY"]]
    kinds = driver.get_online_features(["by_kind:n", "by_kind:user"], {"kind": ["BUY", "VIEW", "SELL"]})
    assert kinds.columns == {"by_kind__n": [1, 3, None], "by_kind__user": ["ada", "ada", None]}
    driver.advance("steps", NOON_MS + 3 * 3_600_000)
    assert row(driver, "ada") == [None] * 5


def test_what_is_expected_of_an_enum_or_text_is_held(driver: RepositoryDriver) -> None:
    driver.send("steps", [step("ada", 0), step("ada", 1, "SELL"), step("ada", 2, page="/else")])
    (letter,) = driver.dead_letters
    assert letter.reason == "kind = SELL, and in=VIEW|BUY is expected"
    assert row(driver, "ada")[:3] == ["/else", "/home", "VIEW"]


def test_a_text_longer_than_is_held_is_a_dead_letter(driver: RepositoryDriver) -> None:
    driver.send("steps", [step("ada", 0), step("ada", 1, page="ü" * 32), step("ada", 2, page="/" * 65)])
    (letter,) = driver.dead_letters
    assert "page has 65 bytes, and of a text 64 at most are held" in letter.reason
    assert row(driver, "ada")[0] == "ü" * 32


def test_they_are_there_after_a_crash(driver: RepositoryDriver) -> None:
    driver.send("steps", [step("ada", 0, page="/cart"), step("ada", 1, "BUY")])
    driver.checkpoint()
    before = row(driver, "ada")
    driver.crash()
    driver.send("steps", [step("bob", 2)])
    assert row(driver, "ada") == before
    driver.send("steps", [step("ada", 2, page=None)])
    assert row(driver, "ada") == ["/home", "/cart", "VIEW", False, None]
