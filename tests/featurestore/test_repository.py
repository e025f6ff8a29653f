"""What `compile_features` makes of a Feast repository, and what it refuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from featurestore.repository import compile_features
from schemas.errors import DefinitionError
from schemas.feature_specs import FeatureRef, FieldSpec
from schemas.plan import Plan

Replace = Callable[[str, str], None]
Append = Callable[[str], None]
MINUTE = 60_000
HOUR = 60 * MINUTE


def refusal(repo: Path) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        compile_features(repo)
    return caught.value


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
    from schemas.avro import schema_fingerprint

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


def test_a_file_may_be_called_like_a_package_of_headrace(repo: Path) -> None:
    import streams

    (repo / "features.py").rename(repo / "streams.py")
    assert len(compile_features(repo).stream_views) == 1
    assert sys.modules["streams"] is streams


def test_learners_file_is_not_imported_as_features(repo: Path) -> None:
    (repo / "learners.py").write_text("raise RuntimeError('not for Feast')\n")
    assert len(compile_features(repo).stream_views) == 1


def test_the_error_names_the_file_that_defines_the_object_not_one_that_imports_it(
    repo: Path, replace: Replace
) -> None:
    (repo / "a_service.py").write_text("from features import carrier_delays, service\n")
    replace('function="count"', 'function="cuont"')
    error = refusal(repo)
    assert error.file == "features.py"
    assert "carrier_delays" in error.name
    assert "'count'" in error.remedy


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
        ("'40'", "at most 14"),
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
    **{
        f"unsupported type in a batch view: {dtype}": (
            'Field(name="alliance", dtype=Bool)',
            f'Field(name="alliance", dtype=__import__("feast").types.{dtype})',
            ("feature view 'airlines'", f"'alliance' has type {shown}", "Float64", remedy),
        )
        for dtype, shown, remedy in [
            ("Map", "Map", "a feature each, or Json"),
            ("ScalarMap", "ScalarMap", "a feature each, or Json"),
            ("Struct({'a': Int64})", "Struct({a: Int64})", "a feature each, or Json"),
            ("Array(__import__('feast').types.Map)", "Array(Map)", "a feature each, or Json"),
            ("ZonedTimestamp", "ZonedTimestamp", "UnixTimestamp"),
            ("Array(__import__('feast').types.Array(Int64))", "Array(Array(Int64))", "an Array or Set of"),
            ("Set(__import__('feast').types.Array(Int64))", "Set(Array(Int64))", "an Array or Set of"),
        ]
    },
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
    "no aggregations": ("aggregations=[", "aggregations=[] and [", ("no aggregations",)),
    "format other than Avro and JSON": (
        "message_format=AvroFormat(json.dumps(EVENT))",
        "message_format=__import__('feast').data_format.ProtoFormat('a.B')",
        ("ProtoFormat", "AvroFormat", "JsonFormat"),
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
        ("'headrace.shards' is '0'", "at least 1"),
    ),
    "quantum of an unknown column": ("dep_delay=0.01", "delay=0.01", ("column 'delay'", "'dep_delay'")),
    "quantum that is no number": ("dep_delay=0.01", "dep_delay=-1", ("'dep_delay=-1'",)),
    "quantum of whole numbers": ("dep_delay=0.01", "seats=10", ("'seats' is not floating",)),
    "view of a service that is not served": (
        'features=[carrier_delays, airlines[["fleet", "full_name"]]]',
        "features=['carrier_delay']",
        ("'carrier_delay' is not served", "'carrier_delays'"),
    ),
    "view without entities": (
        'name="carrier_delays",\n    entities=[carrier]',
        'name="carrier_delays",\n    entities=[]',
        ("no entities",),
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
    assert "another of this name in features.py" in str(refusal(repo))


ON_DEMAND = """
from feast.on_demand_feature_view import on_demand_feature_view
from feast import RequestSource

asked = RequestSource(name="asked", schema=[Field(name="seats_wanted", dtype=Int64)])

@on_demand_feature_view({options})
def doubled(df):
    return df

more = FeatureService(name="more", features=[doubled, airlines[["fleet"]]])
"""


def test_on_demand_view_takes_inputs_from_views_and_the_request(repo: Path, append: Append) -> None:
    append(ON_DEMAND.format(options="sources=[airlines, asked], schema=[Field(name='d', dtype=Float64)]"))
    parts = compile_features(repo)
    (view,) = parts.on_demand_views
    assert view.name == "doubled"
    assert (view.mode, view.singleton, view.file) == ("pandas", False, "features.py")
    assert {ref.feature for ref in view.inputs} == {"full_name", "fleet", "share", "founded", "alliance"}
    assert view.request == (FieldSpec(name="seats_wanted", dtype="Int64"),)
    assert view.features == (FieldSpec(name="d", dtype="Float64"),)
    more = parts.plan().service("more").features
    assert more == (FeatureRef(view="doubled", feature="d"), FeatureRef(view="airlines", feature="fleet"))


def test_another_function_is_another_definition(repo: Path, append: Append, replace: Replace) -> None:
    append(ON_DEMAND.format(options="sources=[airlines], schema=[Field(name='d', dtype=Float64)]"))
    before = compile_features(repo).plan()
    replace("    return df\n", "    return 2 * df\n")
    assert compile_features(repo).plan().hash != before.hash


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sources=[airlines], schema=[]", "no features"),
        ("sources=[airlines], schema=[Field(name='d', dtype=Float64)], write_to_online_store=True", "store"),
        (
            "sources=[airlines, RequestSource(name='r', schema=[Field(name='fleet', dtype=Int32)])], "
            "schema=[Field(name='d', dtype=Float64)]",
            "two of its inputs are called 'fleet'",
        ),
    ],
)
def test_refuses_on_demand_views_it_cannot_compute(
    repo: Path, append: Append, options: str, said: str
) -> None:
    append(ON_DEMAND.format(options=options))
    assert said in str(refusal(repo))


def test_refuses_one_join_key_of_two_types(repo: Path, append: Append) -> None:
    append("""
        number = Entity(name="number", join_keys=["carrier"], value_type=ValueType.INT64)
        numbered = FeatureView(
            name="numbered",
            entities=[number],
            schema=[Field(name="x", dtype=Int64)],
            source=airlines.batch_source,
        )
        """)
    assert "join key 'carrier' is Int64, but String in" in str(refusal(repo))


def test_refuses_an_online_store_other_than_redis(repo: Path) -> None:
    config = repo / "feature_store.yaml"
    lines = config.read_text().replace("type: redis", "type: sqlite").splitlines()
    config.write_text("\n".join(line for line in lines if "connection_string" not in line))
    error = refusal(repo)
    assert "'sqlite'" in str(error)
    assert error.file == "feature_store.yaml"


def test_refuses_a_folder_without_configuration(tmp_path: Path) -> None:
    assert "there is no such file" in str(refusal(tmp_path))


def test_an_error_while_importing_names_file_and_line(repo: Path) -> None:
    (repo / "broken.py").write_text("x = 1\ny = x / 0\n")
    assert str(refusal(repo)).startswith("broken.py: line 2: ZeroDivisionError")


def test_what_feast_refuses_itself_names_file_and_line(repo: Path, replace: Replace) -> None:
    replace(
        'timestamp_field="departed_at",\n    schema',
        f'timestamp_field="", ttl_={timedelta(1)!r},\n    schema',
    )
    assert str(refusal(repo)).startswith("features.py: line ")
