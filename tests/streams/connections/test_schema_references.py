"""Schemas whose types are in other subjects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from fastavro.schema import to_parsing_canonical_form

from headrace.schemas.avro import AvroDecoder
from headrace.schemas.errors import SchemaError
from headrace.streams.connections.schema_references import written_out
from headrace.streams.connections.schema_registry import SchemaRegistry
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.writer_schemas import WriterSchemas
from headrace.testing import SchemaRegistryStandIn
from tests.support.registry_client import register


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


CITY = {"type": "enum", "name": "shop.City", "symbols": ["BERLIN", "ROME"]}
ADDRESS = record("shop.Address", city="City", lines={"type": "array", "items": "string"})
ORDER = record("shop.Order", id="long", ship="Address", bill=["null", "shop.Address"], home="shop.City")
WHOLE = record(
    "shop.Order",
    id="long",
    ship=record("shop.Address", city=CITY, lines={"type": "array", "items": "string"}),
    bill=["null", "shop.Address"],
    home="shop.City",
)


def canonical(schema: Any) -> str:
    return to_parsing_canonical_form(fastavro.parse_schema(schema))


@pytest.fixture
def stand_in() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn() as server:
        yield server


def answer(schema: Any, *subjects: str) -> dict[str, Any]:
    references = [{"name": subject, "subject": subject, "version": 1} for subject in subjects]
    return {"schema": json.dumps(schema), "references": references}


async def test_a_real_registry_gives_types_of_other_subjects_and_records_are_read(
    registry_url: str, project: str
) -> None:
    city, address = f"{project}-city", f"{project}-address"
    register(registry_url, city, CITY)
    register(registry_url, address, ADDRESS, references={"shop.City": city})
    both = {"shop.Address": address, "shop.City": city}
    schema_id = register(registry_url, f"{project}-value", {**ORDER, "doc": project}, references=both)
    assert canonical(json.loads(SchemaRegistry(registry_url).schema(schema_id))) == canonical(WHOLE)

    body = io.BytesIO()
    order = {"id": 7, "ship": {"city": "ROME", "lines": ["a"]}, "bill": None, "home": "BERLIN"}
    fastavro.schemaless_writer(body, fastavro.parse_schema(WHOLE), order)
    value = b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()
    records = LogRecords.of([LogRecord(0, 0, None, value)])
    reader = json.dumps(record("shop.Order", id="long"))
    decoder = AvroDecoder(reader, {}, ["id"])
    assert await WriterSchemas.at(registry_url).supply(decoder, records)
    decoded = decoder.decode([value])
    assert (decoded.errors, decoded.columns["id"].values.tolist()) == ({}, [7])


def test_a_type_used_twice_is_written_once_wherever_it_is_first_needed() -> None:
    assert canonical(written_out(ORDER, [ADDRESS, CITY])) == canonical(WHOLE)
    assert canonical(written_out(ORDER, [CITY, ADDRESS])) == canonical(WHOLE)


def test_a_type_within_a_type_can_be_called_by_its_name_before_the_one_around_it() -> None:
    around = record("x.Around", inner=record("Inner", n="int"))
    first_inner = record("x.Both", a="Inner", b="Around")
    expected = record("x.Both", a=record("x.Inner", n="int"), b=record("x.Around", inner="x.Inner"))
    assert canonical(written_out(first_inner, [around])) == canonical(expected)


def test_a_type_can_hold_itself_and_stand_in_maps_arrays_and_unions() -> None:
    tree = record("Tree", kids={"type": "array", "items": "Tree"})
    wood = record("Wood", one=["null", "Tree"], many={"type": "map", "values": "Tree"})
    expected = record("Wood", one=["null", tree], many={"type": "map", "values": "Tree"})
    assert canonical(written_out(wood, [tree])) == canonical(expected)


def test_a_type_without_a_namespace_is_found_from_within_one() -> None:
    point = record("Point", x="int", next=["null", "Point"])
    line = record("geo.Line", a="Point", b="Point")
    whole = record("geo.Line", a=record("geo.Point", x="int", next=["null", "geo.Point"]), b="geo.Point")
    assert canonical(written_out(line, [point])) == canonical(whole)


def test_logical_types_and_defaults_stay() -> None:
    at = {"type": "long", "logicalType": "timestamp-millis"}
    when = record("When", at=at)
    event = {**record("Event"), "fields": [{"name": "w", "type": "When", "default": {"at": 0}}]}
    assert written_out(event, [when])["fields"] == [{"name": "w", "type": when, "default": {"at": 0}}]


def test_references_in_a_circle_are_followed_once_each(stand_in: SchemaRegistryStandIn) -> None:
    a, b = record("A", b=["null", "B"]), record("B", a=["null", "A"])
    stand_in.answers["/schemas/ids/2"] = answer(record("Top", a="A"), "one/a")
    stand_in.answers["/subjects/one%2Fa/versions/1"] = answer(a, "b")
    stand_in.answers["/subjects/b/versions/1"] = answer(b, "one/a")
    expected = record("Top", a=record("A", b=["null", record("B", a=["null", "A"])]))
    assert canonical(json.loads(SchemaRegistry(stand_in.url).schema(2))) == canonical(expected)
    assert len(stand_in.asked) == 3


def test_a_subject_that_is_not_there_is_named(stand_in: SchemaRegistryStandIn) -> None:
    stand_in.answers["/schemas/ids/2"] = answer(record("Top", a="A"), "gone")
    with pytest.raises(
        SchemaError, match="subject 'gone' version 1, which schema id 2 refers to, is unknown to"
    ):
        SchemaRegistry(stand_in.url).schema(2)


def test_references_without_end_are_refused(stand_in: SchemaRegistryStandIn) -> None:
    stand_in.answers["/schemas/ids/2"] = answer(record("Top", a="A"), *map(str, range(501)))
    for n in range(501):
        stand_in.answers[f"/subjects/{n}/versions/1"] = answer(record(f"A{n}"))
    with pytest.raises(SchemaError, match="refers to more than 500 schemas"):
        SchemaRegistry(stand_in.url).schema(2)
