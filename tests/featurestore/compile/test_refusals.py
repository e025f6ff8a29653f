"""What `compile_features` refuses of a Feast repository, and the remedy it names."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.edits import Append, Replace, refusal

REFUSED = {
    "window not a multiple of the hop": (
        "time_window=timedelta(hours=1),\n            slide_interval=timedelta(minutes=15)",
        "time_window=timedelta(minutes=50),\n            slide_interval=timedelta(minutes=15)",
        ("0:50:00 is not a multiple", "0:45:00 or 1:00:00", "slide_interval is 0:16:40"),
    ),
    "unknown column": ('column="dep_delay"', 'column="dep_dleay"', ("'dep_dleay'", "'dep_delay'")),
    "non-numeric column": ('column="dep_delay"', 'column="note"', ("which is string", "numeric")),
    "function by another name": (
        'function="mean"',
        'function="percentile"',
        ("'percentile' is unknown", "p50, p90, p95 or p99"),
    ),
    "too many tiles": (
        "time_window=timedelta(hours=1),\n            slide_interval=timedelta(minutes=15)",
        "time_window=timedelta(days=90),\n            slide_interval=timedelta(minutes=15)",
        ("8,641 tiles", "The shortest slide_interval is 1:30:00"),
    ),
    "precision beyond the bounds": (
        '"headrace.quantum": "dep_delay=0.01"',
        '"headrace.precision": "40"',
        ("'40'", "from 6 to 14"),
    ),
    "last values without their number": (
        'function="max"',
        'function="last_k"',
        ("'last_k' is unknown", "last_1 to last_100"),
    ),
    "too many last values": ('function="max"', 'function="last_101"', ("last_1 to last_100",)),
    "last values in a scalar": (
        'function="max"',
        'function="last_5"',
        ("as Array(Int64) or Array(Float64)",),
    ),
    "unknown function": ('function="mean"', 'function="maen"', ("'maen' is unknown", "'mean'")),
    "hop without a window": (
        'function="max", time_window=timedelta(days=1)',
        'function="max", slide_interval=timedelta(days=1)',
        ("no time_window", "lifetime"),
    ),
    "empty window": (
        'function="max", time_window=timedelta(days=1)',
        'function="max", time_window=timedelta(0), slide_interval=timedelta(0)',
        ("window is empty",),
    ),
    "window below a millisecond": (
        'function="max", time_window=timedelta(days=1)',
        'function="max", time_window=timedelta(microseconds=1500)',
        ("0:00:00.001500", "whole milliseconds"),
    ),
    "feature missing from the schema": (
        'name="mean_1h",\n        )',
        'name="mean_2h",\n        )',
        ("'mean_2h'", "not in the view's schema", "'mean_1h'"),
    ),
    "feature that nothing computes": (
        'Field(name="n_1h", dtype=Int64),',
        'Field(name="n_1h", dtype=Int64), Field(name="n_2h", dtype=Int64),',
        ("no aggregation computes feature 'n_2h'", "'n_1h'"),
    ),
    "duplicate feature": (
        'name="seats_max_1d"),\n    ],',
        'name="n_1h"),\n    ],',
        ("feature 'n_1h'",),
    ),
    "count that is not Int64": (
        'Field(name="n_1h", dtype=Int64)',
        'Field(name="n_1h", dtype=Float64)',
        ("does not fit type Float64", "Int64"),
    ),
    "max of long as Int32": (
        'Field(name="seats_max_1d", dtype=Int64)',
        'Field(name="seats_max_1d", dtype=Int32)',
        ("does not fit type Int32", "Int64 or Float64"),
    ),
    "unsupported feature type": (
        'Field(name="mean_1h", dtype=Float64)',
        'Field(name="mean_1h", dtype=Bool)',
        ("does not fit type Bool",),
    ),
    "join key absent from the events": (
        '"fields": [\n        {"name": "carrier", "type": "string"},',
        '"fields": [\n        {"name": "carier", "type": "string"},',
        ("'carrier' is not in the event schema", "'carier'"),
    ),
    "join key of another type in the events": (
        '{"name": "carrier", "type": "string"}',
        '{"name": "carrier", "type": "int"}',
        ("join key 'carrier' is String, and int",),
    ),
    "schema that is no schema": ("AvroFormat(json.dumps(EVENT))", "AvroFormat('{')", ("Avro schema",)),
    "no topic": ('    topic="flights.departures",\n', "", ("no topic",)),
    "unknown timestamp field": (
        'topic="flights.departures",\n    timestamp_field="departed_at"',
        'topic="flights.departures",\n    timestamp_field="departed"',
        ("'departed'", "'departed_at'"),
    ),
    "timestamp that is a string": (
        '"type": {"type": "long", "logicalType": "timestamp-millis"}',
        '"type": "string"',
        ("timestamp-millis",),
    ),
    "unknown tag": ('"headrace.key"', '"headrace.kye"', ("'headrace.kye'", "'headrace.key'")),
    "key that is no field": ('"headrace.key": "carrier"', '"headrace.key": "carier"', ("'carrier'",)),
    "shards that are no number": (
        '"headrace.schema_id": "7"',
        '"headrace.shards": "0"',
        ("'headrace.shards' is '0'", "from 1 to 4096"),
    ),
    "quantum of an unknown column": ("dep_delay=0.01", "delay=0.01", ("column 'delay'", "'dep_delay'")),
    "quantum that is no number": ("dep_delay=0.01", "dep_delay=-1", ("'dep_delay=-1'",)),
    "quantum of whole numbers": ("dep_delay=0.01", "seats=10", ("'seats' is not floating",)),
    "view of a service that is not served": (
        'features=[carrier_delays, airlines[["fleet", "full_name"]]]',
        "features=['carrier_delay']",
        ("there is no view 'carrier_delay'", "'carrier_delays'"),
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(repo: Path, replace: Replace, old: str, new: str, said: tuple[str, ...]) -> None:
    replace(old, new)
    error = refusal(repo)
    assert error.file == "features.py"
    for words in said:
        assert words in str(error)


def test_refuses_last_values_that_take_too_much_memory(repo: Path, replace: Replace) -> None:
    replace('name="seats_max_1d", dtype=Int64', 'name="l", dtype=__import__("feast").types.Array(String)')
    replace(
        'column="seats", function="max", time_window=timedelta(days=1), name="seats_max_1d"',
        'column="note", function="last_100", time_window=timedelta(days=1),'
        'slide_interval=timedelta(minutes=5), name="l"',
    )
    error = refusal(repo)
    assert "289 tiles per key, 2,312,000 bytes" in str(error)
    assert error.remedy == "The shortest slide_interval is 0:48:00"


def test_refuses_two_views_of_one_name(repo: Path, append: Append) -> None:
    append("again = FeatureView(name='airlines', entities=[carrier], source=airlines.batch_source)\n")
    said = r"feature view 'airlines' in features.py:\d+ has this name. Rename one"
    assert re.search(said, str(refusal(repo)))


def test_refuses_a_folder_without_configuration(tmp_path: Path) -> None:
    assert "there is no such file" in str(refusal(tmp_path))


def test_an_error_while_importing_names_file_and_line(repo: Path) -> None:
    (repo / "broken.py").write_text("x = 1\ny = x / 0\n")
    assert str(refusal(repo)).startswith("broken.py:2: module 'broken': ZeroDivisionError")


def test_what_feast_refuses_itself_names_file_and_line(repo: Path, replace: Replace) -> None:
    replace(
        'timestamp_field="departed_at",\n    schema',
        f'timestamp_field="", ttl_={timedelta(1)!r},\n    schema',
    )
    assert re.match(r"features.py:\d+: module 'features': ", str(refusal(repo)))


def test_the_error_names_the_file_that_defines_the_object_not_one_that_imports_it(
    repo: Path, replace: Replace
) -> None:
    (repo / "a_service.py").write_text("from features import carrier_delays, service\n")
    replace('function="count"', 'function="cuont"')
    error = refusal(repo)
    assert error.file == "features.py"
    assert "carrier_delays" in error.name
    assert "'count'" in error.remedy
