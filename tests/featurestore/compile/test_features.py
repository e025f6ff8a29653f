"""What `compile_features` makes of a Feast repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.feature_specs import FeatureRef, FieldSpec
from headrace.schemas.plan import Plan
from tests.support.edits import Append, Replace

MINUTE = 60_000
HOUR = 60 * MINUTE


def test_source_takes_topic_key_and_lateness_from_the_kafka_source(repo: Path) -> None:
    (source,) = compile_features(repo).sources
    assert (source.name, source.topic, source.key_field) == ("departures", "flights.departures", "carrier")
    assert (source.timestamp_field, source.timestamp_unit) == ("departed_at", "ms")
    assert source.schema_id == 7
    assert source.max_future_ms == MINUTE
    assert source.tile_ms == 5 * MINUTE  # gcd of 5 min, 15 min and the day's tumbling window
    assert source.late_tiles == 3  # 12 min of lateness in tiles of 5
    assert source.shards == 0  # every view is keyed as the topic is


def test_stream_view_takes_windows_and_types_from_its_aggregations(repo: Path) -> None:
    (view,) = compile_features(repo).stream_views
    assert view.join_keys == (FieldSpec(name="carrier", dtype="String"),)
    assert view.ttl_ms == 24 * HOUR
    n, mean, seats = view.aggregations
    assert (n.feature, n.function, n.column, n.window_ms, n.hop_ms) == (
        "n_1h",
        "count",
        "flight",
        HOUR,
        5 * MINUTE,
    )
    assert (mean.dtype, mean.quantum) == ("Float64", 0.01)
    assert (seats.window_ms, seats.hop_ms, seats.quantum) == (24 * HOUR, 24 * HOUR, 1.0)


def test_batch_view_and_service_are_compiled(repo: Path) -> None:
    parts = compile_features(repo)
    (view,) = parts.batch_views
    assert [f.dtype for f in view.features] == ["String", "Int32", "Float32", "UnixTimestamp", "Bool"]
    (service,) = parts.services
    assert FeatureRef(view="airlines", feature="fleet") in service.features
    assert len(service.features) == 5


def test_service_may_name_features_as_text(repo: Path, append: Append) -> None:
    append("named = FeatureService(name='named', features=['airlines:fleet', 'carrier_delays'])\n")
    service = compile_features(repo).plan().service("named")
    assert [ref.full_name for ref in service.features][:2] == ["airlines__fleet", "carrier_delays__n_1h"]


def test_plan_is_the_same_each_time_and_round_trips(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert plan.hash == compile_features(repo).plan().hash
    assert Plan.from_json(plan.to_json()) == plan


def test_a_view_with_another_key_is_shuffled(repo: Path, replace: Replace) -> None:
    replace('"headrace.key": "carrier"', '"headrace.key": "origin", "headrace.shards": "6"')
    assert compile_features(repo).sources[0].shards == 6


def test_without_a_key_tag_every_view_is_shuffled(repo: Path, replace: Replace) -> None:
    replace('"headrace.key": "carrier", ', "")
    (source,) = compile_features(repo).sources
    assert (source.key_field, source.shards) == (None, 4)


def test_schema_id_defaults_to_the_fingerprint_of_the_schema(repo: Path, replace: Replace) -> None:
    from headrace.schemas.avro import schema_fingerprint

    replace(', "headrace.schema_id": "7"', "")
    (source,) = compile_features(repo).sources
    assert source.schema_id == schema_fingerprint(source.reader_schema)


def test_microsecond_event_times_are_noted(repo: Path, replace: Replace) -> None:
    replace("timestamp-millis", "timestamp-micros")
    assert compile_features(repo).sources[0].timestamp_unit == "us"


def test_quantum_of_a_floating_column_defaults_to_a_millionth(repo: Path, replace: Replace) -> None:
    replace('tags={"headrace.quantum": "dep_delay=0.01"},', "")
    assert [a.quantum for a in compile_features(repo).stream_views[0].aggregations] == [1.0, 1e-6, 1.0]


def test_without_a_time_window_a_feature_is_over_the_lifetime_of_its_key(
    repo: Path, replace: Replace
) -> None:
    replace('function="max", time_window=timedelta(days=1)', 'function="max"')
    seats = compile_features(repo).stream_views[0].aggregations[2]
    assert (seats.window_ms, seats.hop_ms) == (0, 0)


@pytest.mark.parametrize(
    ("column", "function", "element"),
    [("note", "last_3", "String"), ("dep_delay", "last_1", "Float64"), ("seats", "last_100", "Int64"),
     ("flight", "last_10", "Int32")],
)  # fmt: skip
def test_the_last_k_values_are_an_array_of_the_type_of_the_column(
    repo: Path, replace: Replace, column: str, function: str, element: str
) -> None:
    replace('column="seats", function="max"', f'column="{column}", function="{function}"')
    array = f'dtype=__import__("feast").types.Array({element})'
    replace('name="seats_max_1d", dtype=Int64', f'name="seats_max_1d", {array}')
    last = compile_features(repo).stream_views[0].aggregations[2]
    assert (last.function, last.dtype) == (function, f"Array({element})")


def test_feature_name_defaults_to_the_name_feast_gives(repo: Path, replace: Replace) -> None:
    replace(', name="seats_max_1d"', "")
    replace('Field(name="seats_max_1d"', 'Field(name="max_seats_86400s"')
    assert compile_features(repo).stream_views[0].aggregations[2].feature == "max_seats_86400s"


def test_reading_leaves_nothing_behind(repo: Path) -> None:
    before = (os.getcwd(), list(sys.path), set(sys.modules))
    compile_features(repo)
    assert (os.getcwd(), list(sys.path)) == before[:2]
    assert "features" not in set(sys.modules) - before[2]


def test_a_file_may_be_called_like_a_module_of_the_application(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = ModuleType("streams")
    monkeypatch.setitem(sys.modules, "streams", streams)
    (repo / "features.py").rename(repo / "streams.py")
    assert len(compile_features(repo).stream_views) == 1
    assert sys.modules["streams"] is streams


def test_learners_file_is_not_imported_as_features(repo: Path) -> None:
    (repo / "learners.py").write_text("raise RuntimeError('not for Feast')\n")
    assert len(compile_features(repo).stream_views) == 1
