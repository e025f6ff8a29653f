"""Writer schemas in the repository: in the plan by their ids, or refused by their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.compile.writer_schemas import read_writer_schemas
from headrace.schemas.avro import schema_fingerprint
from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.state.fingerprint import definition_of
from tests.support.edits import Replace, refusal


def source_of(repo: Path) -> SourceSpec:
    (source,) = compile_features(repo).sources
    return source


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


def test_json_has_no_schema_ids(repo: Path, replace: Replace) -> None:
    replace("AvroFormat(json.dumps(EVENT))", "__import__('feast').data_format.JsonFormat(json.dumps(EVENT))")
    assert "tag 'headrace.schema_id': its events are JSON" in str(refusal(repo))
    replace(', "headrace.schema_id": "7"', "")
    write(repo, "departures.3.avsc", event_schema(repo))
    said = "schemas/departures.3.avsc: writer schema of source 'departures': events of the source"
    assert said in str(refusal(repo))


def test_schemas_are_read_in_order_of_their_files_with_their_ids(tmp_path: Path) -> None:
    text = write(tmp_path, "a.v1.avsc", WITHOUT_CARRIER)
    write(tmp_path, "b.12.avsc", WITHOUT_CARRIER)
    write(tmp_path, "a.2.avsc", WITHOUT_CARRIER)
    schemas = read_writer_schemas(tmp_path, ["a", "b"])
    assert [(s.source, s.schema_id) for s in schemas] == [
        ("a", 2),
        ("a", schema_fingerprint(text)),
        ("b", 12),
    ]
    assert isinstance(schemas[0].definition, Definition)
    assert (schemas[0].definition.file, schemas[0].text) == ("schemas/a.2.avsc", text)
