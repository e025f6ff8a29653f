"""The format of a Kafka source: Avro, or JSON with its two declarations."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import PlanError
from headrace.schemas.event_decoder import event_decoder
from headrace.schemas.feature_specs import SourceSpec
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


def test_a_decimal_column_can_be_summed(repo: Path, replace: Replace) -> None:
    replace(
        '{"name": "dep_delay", "type": ["null", "double"], "default": None}',
        '{"name": "dep_delay", "type": ["null", DECIMAL]}',
    )
    replace("EVENT = {", f"DECIMAL = {DECIMAL}\nEVENT = {{")
    source = source_of(repo)
    assert event_decoder(source, ["dep_delay"]).field_kind("dep_delay") == "double"
