"""Kafka sources of the repository: topic, key, lateness, shuffle; and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.avro import schema_fingerprint
from tests.support.edits import Append, Replace, objection, refusal

MINUTE = 60_000


def test_source_takes_topic_key_and_lateness_from_the_kafka_source(repo: Path) -> None:
    (source,) = compile_features(repo).sources
    assert (source.name, source.topic, source.key_field) == ("departures", "flights.departures", "carrier")
    assert (source.timestamp_field, source.timestamp_unit) == ("departed_at", "ms")
    assert source.schema_id == 7
    assert source.max_future_ms == MINUTE
    assert source.tile_ms == 5 * MINUTE  # gcd of 5 min, 15 min and the day's tumbling window
    assert source.late_tiles == 3  # 12 min of lateness in tiles of 5
    assert source.shards == 0  # every view is keyed as the topic is


def test_a_view_with_another_key_is_shuffled(repo: Path, replace: Replace) -> None:
    replace('"headrace.key": "carrier"', '"headrace.key": "origin", "headrace.shards": "6"')
    assert compile_features(repo).sources[0].shards == 6


def test_without_a_key_tag_every_view_is_shuffled(repo: Path, replace: Replace) -> None:
    replace('"headrace.key": "carrier", ', "")
    (source,) = compile_features(repo).sources
    assert (source.key_field, source.shards) == (None, 4)


def test_schema_id_defaults_to_the_fingerprint_of_the_schema(repo: Path, replace: Replace) -> None:
    replace(', "headrace.schema_id": "7"', "")
    (source,) = compile_features(repo).sources
    assert source.schema_id == schema_fingerprint(source.reader_schema)


def test_microsecond_event_times_are_noted(repo: Path, replace: Replace) -> None:
    replace("timestamp-millis", "timestamp-micros")
    assert compile_features(repo).sources[0].timestamp_unit == "us"


def test_one_declared_partition_needs_no_shuffle(repo: Path, replace: Replace) -> None:
    replace('"headrace.key": "carrier"', '"headrace.key": "origin", "headrace.partitions": "1"')
    (source,) = compile_features(repo).sources
    assert (source.partitions, source.shards) == (1, 0)


BARE = """
    bare = KafkaSource(
        name="bare",
        topic="t",
        timestamp_field="departed_at",
        message_format=AvroFormat(json.dumps(EVENT)),
        watermark_delay_threshold=timedelta(seconds=61),
        batch_source=departures.batch_source,
        tags={"headrace.max_future": "5"},
    )
"""


def test_a_source_without_views_judges_lateness_by_the_minute(repo: Path, append: Append) -> None:
    append(BARE)
    bare = compile_features(repo).sources[0]
    assert (bare.name, bare.tile_ms, bare.late_tiles) == ("bare", MINUTE, 2)
    assert (bare.max_future_ms, bare.shards) == (5000, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("timedelta(minutes=12)", "timedelta(microseconds=1)", "watermark_delay_threshold is 0:00:00.000001"),
        ('"headrace.schema_id": "7"', '"headrace.max_future": "-1"', "whole number from 0 to"),
        ('"headrace.schema_id": "7"', '"headrace.partitions": "many"', "'headrace.partitions' is 'many'"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(
    repo: Path, replace: Replace, old: str, new: str, said: str
) -> None:
    replace(old, new)
    error = refusal(repo)
    assert said in str(error)
    assert error.name == "Kafka source 'departures'"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('topic="flights', 'field_mapping={"a": "b"},\n    topic="flights', "field_mapping is not executed"),
        ("AvroFormat(json.dumps(EVENT))", 'ProtoFormat("a.B")', "its message format is ProtoFormat"),
    ],
)
def test_what_feast_takes_and_nobody_reads_here_is_left_out_with_its_views(
    repo: Path, replace: Replace, old: str, new: str, said: str
) -> None:
    replace("import AvroFormat", "import AvroFormat, ProtoFormat")
    replace(old, new)
    parts = compile_features(repo)
    assert [view.name for view in parts.batch_views] == ["airlines"]
    source, view, service = parts.left_out
    assert said in source.problem
    assert view.problem.startswith(f"Kafka source 'departures' cannot be read: {said}")
    assert service.name == "feature service 'delays'"


def test_two_sources_of_one_name_are_refused(repo: Path) -> None:
    text = (repo / "features.py").read_text()
    (repo / "more.py").write_text(text[: text.index("carrier_delays = StreamFeatureView(")])
    assert "there is another source of this name" in str(refusal(repo))


def test_a_source_that_no_view_reads_and_nobody_can_is_left_out(repo: Path, append: Append) -> None:
    """Of one that a view reads, Feast refuses that itself."""
    append(BARE.replace("        batch_source=departures.batch_source,\n", ""))
    said = "Kafka source 'bare': no stream feature view reads it, and it has no batch_source, which"
    assert said in str(objection(repo))
