"""Whatever a registry answers: a schema, an error of its records, or a registry that is away."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from headrace.schemas.avro import AvroDecoder
from headrace.schemas.errors import HeadraceError, SchemaError, ServiceUnavailable, SettingsError
from headrace.streams.connections import schema_registry
from headrace.streams.connections.schema_registry import SchemaRegistry
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.writer_schemas import WriterSchemas
from headrace.testing import SchemaRegistryStandIn
from tests.support.properties import tries
from tests.support.waiting import PATIENCE_S

OWN = json.dumps({"type": "record", "name": "E", "fields": [{"name": "a", "type": "long"}]})
PART = "/subjects/part/versions/1"


@pytest.fixture
def stand_in() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn() as server:
        yield server


words = st.sampled_from(
    [
        *("type", "name", "fields", "items", "values", "symbols", "size", "namespace", "logicalType"),
        "E",
        "part",
    ]
)
leaves = st.sampled_from(
    [
        None,
        True,
        -1,
        1.5,
        float("inf"),
        2**70,
        "record",
        "array",
        "map",
        "enum",
        "fixed",
        "long",
        "null",
        "E",
        "",
    ]
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)
schemas = anything.map(json.dumps)
references = anything | st.just([{"subject": "part", "version": 1}])
REFER = [{"subject": "part", "version": 1}]


@tries(300, HealthCheck.function_scoped_fixture)
@given(schema=schemas, part=schemas, referred=references)
@example(schema="{}", part="{}", referred=5)
@example(schema="{}", part="{}", referred=[{"subject": "part", "version": float("inf")}])
@example(schema='{"type": "record", "fields": 5}', part="{}", referred=REFER)
@example(schema='{"type": "record", "fields": ["a"]}', part="{}", referred=REFER)
@example(schema='{"type": ["null", "long"]}', part='{"type": [["null"]]}', referred=REFER)
@example(schema="7", part='{"type": {"type": ["null"]}}', referred=REFER)
async def test_an_answer_of_any_shape_ends_nothing(
    stand_in: SchemaRegistryStandIn, schema: str, part: str, referred: Any
) -> None:
    stand_in.answers = {
        "/schemas/ids/2": {"schema": schema, "references": referred},
        PART: {"schema": part},
    }
    registry = SchemaRegistry(stand_in.url)
    with contextlib.suppress(SchemaError, ServiceUnavailable):
        registry.schema(2)
    decoder = AvroDecoder(OWN, {1: OWN}, ["a"])
    records = LogRecords.of([LogRecord(0, 0, None, b"\0\0\0\0\x02\x02")])
    asked = iter([True] * 2)
    await WriterSchemas(registry, sleep=_at_once).supply(decoder, records, lambda: next(asked, False))
    decoder.decode(records.values)


async def _at_once(seconds: float) -> None:
    return None


def test_schemas_that_refer_to_one_another_are_bounded_together(stand_in: SchemaRegistryStandIn) -> None:
    def part(n: int) -> dict[str, Any]:
        inner: Any = f"R{n + 1}"
        for _ in range(80):
            inner = {"type": "array", "items": inner}
        record = {"type": "record", "name": f"R{n}", "fields": [{"name": "a", "type": inner}]}
        refer = [{"subject": str(n + 1), "version": 1}] if n < 400 else []
        return {"schema": json.dumps(record), "references": refer}

    stand_in.answers = {f"/subjects/{n}/versions/1": part(n) for n in range(1, 401)}
    stand_in.answers["/schemas/ids/2"] = part(0)
    with pytest.raises(
        SchemaError, match=r"schema id 2 in http.*nested deeper|cannot be used \(RecursionError"
    ):
        SchemaRegistry(stand_in.url).schema(2)
    text = json.dumps({"type": "record", "name": "E", "fields": [], "doc": "x" * 2_000_000})
    stand_in.answers = {
        f"/subjects/{n}/versions/1": {"schema": text, "references": [{"subject": str(n + 1), "version": 1}]}
        for n in range(9)
    }
    stand_in.answers["/schemas/ids/2"] = {"schema": OWN, "references": [{"subject": "0", "version": 1}]}
    stand_in.asked.clear()
    with pytest.raises(
        SchemaError, match=r"schema id 2 in .* is longer than 4 MiB, with all that it refers to"
    ):
        SchemaRegistry(stand_in.url).schema(2)
    assert len(stand_in.asked) <= 4


def test_an_answer_that_is_too_long_is_an_error_of_its_records(stand_in: SchemaRegistryStandIn) -> None:
    stand_in.failing = b'{"schema": "' + b"x" * (5 * 1024**2) + b'"}'
    with pytest.raises(SchemaError, match="is longer than 4 MiB"):
        SchemaRegistry(stand_in.url).schema(2)


def test_answers_that_come_too_slowly_are_a_registry_that_is_away(stand_in: SchemaRegistryStandIn) -> None:
    stand_in.failing = json.dumps({"schema": OWN}).encode()
    hours = itertools.count(0, 3600)
    with pytest.raises(ServiceUnavailable, match="was not there within 30 s"):
        SchemaRegistry(stand_in.url, now=lambda: float(next(hours))).schema(2)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_head_that_never_ends_is_a_registry_that_is_away(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(schema_registry, "_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server, begun), daemon=True)
        dripping.start()
        with pytest.raises(ServiceUnavailable, match="cannot be asked"):
            SchemaRegistry(f"http://127.0.0.1:{server.getsockname()[1]}").schema(2)
        dripping.join(PATIENCE_S)
        assert not dripping.is_alive()


def drip(server: socket.socket, begun: bytes) -> None:
    """Send a byte of a header at a time, until the client has gone."""
    connection, _ = server.accept()
    gone = threading.Event()
    with connection, contextlib.suppress(OSError):
        connection.sendall(begun)
        while not gone.wait(0.05):
            connection.sendall(b"A")


@pytest.mark.parametrize(
    "url",
    [
        *("http://me:s3cret", "http://host:s3cret", "http://[s3cret", "http://", "http://:8081", "s3cret"),
        *(
            "http://host:99999/s3cret",
            "http://host?api_key=s3cret",
            "http://host/#s3cret",
            "file:///etc/s3cret",
        ),
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SchemaRegistry(url)
    assert "the URL of the schema registry" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, HeadraceError)
