"""Formats of a Kafka source: JSON with its two declarations, and writer schemas in the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.compile.spark_schema import avro_schema_of
from headrace.schemas.avro import schema_fingerprint
from headrace.schemas.errors import PlanError
from headrace.schemas.event_decoder import event_decoder
from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.state.fingerprint import definition_of
from tests.support.edits import Replace, refusal

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
SPARK = (
    "carrier STRING NOT NULL, origin string, flight INT, dep_delay: double, seats BIGINT,\n"
    " departed_at TIMESTAMP"
)


def source_of(repo: Path) -> SourceSpec:
    (source,) = compile_features(repo).sources
    return source


def use_json(replace: Replace, schema: str) -> None:
    replace(', "headrace.schema_id": "7"', "")
    replace("import AvroFormat", "import AvroFormat, JsonFormat")
    replace("message_format=AvroFormat(json.dumps(EVENT))", f"message_format=JsonFormat({schema})")


def test_json_declared_by_an_avro_schema(repo: Path, replace: Replace) -> None:
    use_json(replace, "json.dumps(EVENT)")
    source = source_of(repo)
    assert (source.format, source.writer_schemas, source.timestamp_unit) == ("json", {}, "ms")
    event = b'{"carrier": "AA", "flight": 1, "seats": 9, "departed_at": 5, "gate": ["B", 7]}'
    decoded = event_decoder(source, ["carrier", "dep_delay", "seats"]).decode([event])
    assert decoded.errors == {}
    assert decoded.columns["carrier"].values.tolist() == [b"AA"]
    assert decoded.columns["dep_delay"].valid.tolist() == [False]
    with pytest.raises(PlanError, match="source 'departures': its reader schema is not among"):
        assert source.schema_id


def test_json_declared_as_feast_documents_it(repo: Path, replace: Replace) -> None:
    use_json(replace, repr(SPARK))
    source = source_of(repo)
    assert source.format == "json"
    event = b'{"carrier": "AA", "dep_delay": 4, "departed_at": "2013-01-01T12:00:00Z"}'
    decoded = event_decoder(source, ["carrier", "dep_delay", "seats", "departed_at"]).decode([event, b"{}"])
    assert list(decoded.errors) == [1]
    assert decoded.columns["departed_at"].values.tolist() == [1_357_041_600_000, 0]
    assert decoded.columns["dep_delay"].values.tolist() == [4.0, 0.0]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("'carrier STRING, departed_at'", "'departed_at' is no column; write name and type"),
        ("'carrier STRIN, departed_at TIMESTAMP'", "column 'carrier' has type STRIN; use boolean"),
        ("''", "'' is no column"),
        ("'{'", "event schema cannot be used"),
        (
            "json.dumps(EVENT).replace('\"double\"', '\"bytes\"')",
            "column 'dep_delay' is not floating",
        ),
        (
            "'carrier STRING, flight INT, seats BIGINT, departed_at TIMESTAMP'",
            "column 'dep_delay' is not in the event",
        ),
        (repr(SPARK.replace("TIMESTAMP", "STRING")), "timestamp_field 'departed_at' is"),
    ],
)
def test_a_json_schema_that_cannot_be_used_is_refused(
    repo: Path, replace: Replace, schema: str, said: str
) -> None:
    use_json(replace, schema)
    assert said in str(refusal(repo))


def test_json_has_no_schema_ids(repo: Path, replace: Replace) -> None:
    replace("AvroFormat(json.dumps(EVENT))", "__import__('feast').data_format.JsonFormat(json.dumps(EVENT))")
    assert "tag 'headrace.schema_id': its events are JSON" in str(refusal(repo))
    replace(', "headrace.schema_id": "7"', "")
    write(repo, "departures.3.avsc", event_schema(repo))
    said = "schemas/departures.3.avsc: writer schema of source 'departures': events of the source"
    assert said in str(refusal(repo))


def test_columns_that_are_none_are_left_out_of_a_spark_schema() -> None:
    text = (
        "a ARRAY<STRUCT<x: INT, y: DECIMAL(4, 2)>>, `b c` MAP<STRING, INT> COMMENT 'x, y', "
        "d DECIMAL(10, 2) COMMENT 'NOT NULL', e char(3) not  null"
    )
    fields = json.loads(avro_schema_of(text))["fields"]
    assert fields == [
        {"name": "d", "type": ["null", "double"], "default": None},
        {"name": "e", "type": "string"},
    ]


def write(repo: Path, name: str, schema: Any) -> str:
    (repo / "schemas").mkdir(exist_ok=True)
    text = json.dumps(schema)
    (repo / "schemas" / name).write_text(text)
    return text


def event_schema(repo: Path) -> dict[str, Any]:
    spaces: dict[str, Any] = {}
    text = (repo / "features.py").read_text()
    exec(text[text.index("EVENT = {") : text.index("carrier = Entity")], spaces)
    return dict(spaces["EVENT"])


def test_writer_schemas_of_the_folder_are_in_the_plan(repo: Path) -> None:
    schema = event_schema(repo)
    old = {**schema, "fields": [f for f in schema["fields"] if f["name"] not in ("note", "dep_delay")]}
    older = {**old, "fields": old["fields"][::-1]}
    texts = {
        3: write(repo, "departures.3.avsc", old),
        schema_fingerprint(json.dumps(older)): write(repo, "departures.2011.v1.avsc", older),
    }
    source = source_of(repo)
    assert source.writer_schemas == {**texts, 7: source.reader_schema}
    assert source.schema_id == 7


def test_a_writer_schema_more_keeps_the_state_of_the_views(repo: Path) -> None:
    plans = [compile_features(repo).plan()]
    write(repo, "departures.3.avsc", event_schema(repo))
    plans.append(compile_features(repo).plan())
    assert plans[0].hash != plans[1].hash
    assert len({definition_of(plan, plan.sources[0]) for plan in plans}) == 1


def test_schemas_that_differ_in_what_the_reader_needs_alone_have_one_id_and_the_reader_stays(
    repo: Path, replace: Replace
) -> None:
    replace(', "headrace.schema_id": "7"', "")
    schema = event_schema(repo)
    plain = {**schema, "fields": [{k: v for k, v in f.items() if k != "default"} for f in schema["fields"]]}
    write(repo, "departures.old.avsc", plain)
    source = source_of(repo)
    assert source.writer_schemas == {source.schema_id: source.reader_schema}


WITHOUT_CARRIER = {"type": "record", "name": "Departure", "fields": []}


@pytest.mark.parametrize(
    ("name", "schema", "said"),
    [
        ("departure.3.avsc", {}, "there is no Kafka source 'departure'. Did you mean 'departures'?"),
        ("departures.v1.avsc", "nope", "unknown type 'nope'; write an Avro schema in JSON"),
        (
            "departures.3.avsc",
            WITHOUT_CARRIER,
            "field 'carrier' is not in writer schema 3 and has no default",
        ),
        (
            "departures.7.avsc",
            WITHOUT_CARRIER,
            "it has the schema id 7, which is that of the source's own schema",
        ),
        ("departures.4294967296.avsc", WITHOUT_CARRIER, "schema id 4294967296 is beyond 32 bits"),
    ],
)
def test_a_writer_schema_that_cannot_be_used_is_refused_by_its_file(
    repo: Path, name: str, schema: Any, said: str
) -> None:
    write(repo, name, schema)
    message = str(refusal(repo))
    assert message.startswith(f"schemas/{name}: writer schema of source")
    assert said in message


def test_two_files_of_one_id_are_refused(repo: Path) -> None:
    schema = event_schema(repo)
    write(repo, "departures.3.avsc", schema)
    write(repo, "departures.03.avsc", {**schema, "doc": "another"})
    assert "it has the schema id 3, as schemas/departures.03.avsc has" in str(refusal(repo))


def test_a_decimal_column_can_be_summed(repo: Path, replace: Replace) -> None:
    replace(
        '{"name": "dep_delay", "type": ["null", "double"], "default": None}',
        '{"name": "dep_delay", "type": ["null", DECIMAL]}',
    )
    replace("EVENT = {", f"DECIMAL = {DECIMAL}\nEVENT = {{")
    source = source_of(repo)
    assert event_decoder(source, ["dep_delay"]).field_kind("dep_delay") == "double"
