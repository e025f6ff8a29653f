"""The registry client and what becomes of a range whose writer schemas are not in the plan."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from headrace.deploy.local.child import free_port
from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.schemas.errors import SchemaError, ServiceUnavailable
from headrace.schemas.json_events.decoder import JsonDecoder
from headrace.streams.connections.schema_registry import SchemaRegistry
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.writer_schemas import WriterSchemas
from headrace.testing import SchemaRegistryStandIn
from tests.support.registry_client import register
from tests.support.waiting import eventually_in_loop


def event(*names: str) -> dict[str, object]:
    return {"type": "record", "name": "E", "fields": [{"name": name, "type": "long"} for name in names]}


OWN, OTHER = event("a"), event("b", "a")


def record_of(schema: dict[str, object], schema_id: int) -> LogRecord:
    value = encode_confluent(json.dumps(schema), schema_id, {"a": schema_id, "b": 0})
    return LogRecord(0, 0, None, value)


def decoder() -> AvroDecoder:
    return AvroDecoder(json.dumps(OWN), {1: json.dumps(OWN)}, ["a"])


@pytest.fixture
def stand_in() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn({2: OTHER, 3: OTHER}) as server:
        yield server


def test_a_real_registry_gives_what_was_registered(registry_url: str, project: str) -> None:
    registry = SchemaRegistry(registry_url)
    schema_id = register(registry_url, f"{project}-value", {**OTHER, "doc": project})
    assert json.loads(registry.schema(schema_id)) == {**OTHER, "doc": project}
    with pytest.raises(SchemaError, match="schema id 2000000000 is unknown to http"):
        registry.schema(2_000_000_000)
    with pytest.raises(ServiceUnavailable, match="answers 404"):
        SchemaRegistry(registry_url + "/elsewhere").schema(schema_id)


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (500, "answers 500"),
        (401, "answers 401"),
        (404, "answers 404"),  # without saying that it is the schema that there is not
        (b"<html>", "cannot be asked"),
        (b"[]", "answers no object"),
        (b'{"schema": 5}', "answers without a schema"),
        (b"{}", "answers without a schema"),
    ],
)
def test_an_answer_that_says_nothing_of_the_schema_is_a_registry_that_is_away(
    stand_in: SchemaRegistryStandIn, failing: int | bytes, message: str
) -> None:
    stand_in.failing = failing
    with pytest.raises(ServiceUnavailable, match=message):
        SchemaRegistry(stand_in.url).schema(2)


def test_a_port_where_nobody_listens_is_a_registry_that_is_away() -> None:
    with pytest.raises(ServiceUnavailable, match="cannot be asked"):
        SchemaRegistry(f"http://127.0.0.1:{free_port()}").schema(2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"schema": "{}", "schemaType": "PROTOBUF"}, "schema id 2 is PROTOBUF in .*, not Avro"),
        ({"schema": "{}", "references": [{"name": "x"}]}, "has a reference without subject and version"),
        (
            {"schema": "}", "references": [{"subject": "x", "version": 1}]},
            "subject 'x' version 1, which .* is no JSON",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(
    stand_in: SchemaRegistryStandIn, answer: object, message: str
) -> None:
    stand_in.failing = json.dumps(answer).encode()
    with pytest.raises(SchemaError, match=message):
        SchemaRegistry(stand_in.url).schema(2)


def test_the_account_in_the_url_is_sent_and_never_shown(stand_in: SchemaRegistryStandIn) -> None:
    url = stand_in.url.replace("http://", "http://me:s%40cret@")
    registry = SchemaRegistry(url + "/")
    assert json.loads(registry.schema(2)) == OTHER
    assert stand_in.asked == [("/schemas/ids/2", "Basic bWU6c0BjcmV0")]
    stand_in.failing = 500
    with pytest.raises(ServiceUnavailable) as caught:
        registry.schema(2)
    assert "cret" not in str(caught.value) + registry.address


async def test_schemas_are_asked_for_once_and_shared_by_all_partitions(
    stand_in: SchemaRegistryStandIn,
) -> None:
    schemas, first, second = WriterSchemas.at(stand_in.url), decoder(), decoder()
    records = [record_of(OWN, 1), record_of(OTHER, 2), record_of(OTHER, 3), record_of(OTHER, 2)]
    for one in (first, first, second):
        assert await schemas.supply(one, LogRecords.of(records))
        decoded = one.decode([record.value for record in records])
        assert decoded.errors == {}
        assert decoded.columns["a"].values.tolist() == [1, 2, 3, 2]
    assert sorted(path for path, _ in stand_in.asked) == ["/schemas/ids/2", "/schemas/ids/3"]


async def test_an_id_the_registry_does_not_know_is_an_error_until_it_does(
    stand_in: SchemaRegistryStandIn,
) -> None:
    schemas, one, records = (
        WriterSchemas(SchemaRegistry(stand_in.url), missing_s=0),
        decoder(),
        [record_of(OTHER, 7), record_of(OWN, 1)],
    )
    assert await schemas.supply(one, LogRecords.of(records))
    assert one.decode([r.value for r in records]).errors == {0: f"schema id 7 is unknown to {stand_in.url}"}
    stand_in.schemas[7] = OTHER
    assert await schemas.supply(one, LogRecords.of(records))
    assert one.decode([r.value for r in records]).errors == {}


async def test_ids_that_are_made_up_are_asked_for_once_and_remembered(
    stand_in: SchemaRegistryStandIn,
) -> None:
    schemas, one = WriterSchemas(SchemaRegistry(stand_in.url), missing_s=3_600), decoder()
    records = LogRecords.of([record_of(OWN, 1), *(record_of(OTHER, 5_000 + n) for n in range(200))])
    for _ in range(3):
        assert await schemas.supply(one, records)
        errors = one.decode(records.values).errors
        assert list(errors) == list(range(1, 201))
        assert errors[7] == f"schema id 5006 is unknown to {stand_in.url}"
    assert len(stand_in.asked) == len(set(stand_in.asked)) == 200


async def test_a_registry_that_goes_away_between_ids_is_asked_for_the_rest_when_it_is_back(
    stand_in: SchemaRegistryStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.failing = 503
    schemas, one = WriterSchemas.at(stand_in.url), decoder()
    records = LogRecords.of([record_of(OTHER, 2), *(record_of(OTHER, 5_000 + n) for n in range(50))])
    with caplog.at_level(logging.WARNING):
        waiting = asyncio.create_task(schemas.supply(one, records))
        await eventually_in_loop(lambda: caplog.text, "a warning", lambda text: "and 50 more wait" in text)
    assert len(stand_in.asked) % 16 == 0  # some at a time, and no others before these are answered
    stand_in.failing = None
    assert await waiting
    assert list(one.decode(records.values).errors) == list(range(1, 51))


async def test_a_schema_that_does_not_fit_is_asked_for_once_and_its_records_are_errors(
    stand_in: SchemaRegistryStandIn,
) -> None:
    stand_in.schemas[4] = event("c")
    schemas, one, records = (
        WriterSchemas.at(stand_in.url),
        decoder(),
        [LogRecord(0, 0, None, b"\0\0\0\0\x04\x02")],
    )
    for _ in range(2):
        assert await schemas.supply(one, LogRecords.of(records))
        (reason,) = one.decode([r.value for r in records]).errors.values()
        assert reason.startswith("field 'a' is not in writer schema 4 and has no default")
    assert len(stand_in.asked) == 1


async def test_a_registry_that_is_away_is_waited_for(
    stand_in: SchemaRegistryStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.failing = 503
    one, records = decoder(), LogRecords.of([record_of(OTHER, 2)])
    with caplog.at_level(logging.WARNING):
        schemas = WriterSchemas.at(stand_in.url)
        waiting = asyncio.create_task(schemas.supply(one, records))
        await eventually_in_loop(lambda: caplog.text, "a warning", lambda text: "wait, next try" in text)
    assert not waiting.done()
    assert schemas.waiting
    assert "records of schema id 2 wait" in caplog.text
    stand_in.failing = None
    assert await waiting
    assert not schemas.waiting
    assert one.decode([r.value for r in records]).errors == {}


async def test_waiting_ends_when_it_is_not_wanted_any_more(stand_in: SchemaRegistryStandIn) -> None:
    stand_in.failing, wanted = 503, [True]
    waiting = asyncio.create_task(
        WriterSchemas.at(stand_in.url).supply(
            decoder(), LogRecords.of([record_of(OTHER, 2)]), lambda: wanted[0]
        )
    )
    await eventually_in_loop(lambda: stand_in.asked, "a question")
    wanted[0] = False
    assert not await waiting


async def test_without_a_registry_or_without_schema_ids_nothing_is_asked(
    stand_in: SchemaRegistryStandIn,
) -> None:
    assert await WriterSchemas.at(None).supply(decoder(), LogRecords.of([record_of(OTHER, 2)]))
    events = JsonDecoder(json.dumps(OWN), ["a"])
    assert await WriterSchemas.at(stand_in.url).supply(events, LogRecords.of([record_of(OTHER, 2)]))
    assert stand_in.asked == []
