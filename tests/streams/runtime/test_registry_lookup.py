"""A command finds the writer schemas of records in the registry, or says why it cannot be done."""

from __future__ import annotations

import json

import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.testing import SchemaRegistryStandIn

PRICE = {"type": "record", "name": "E", "fields": [{"name": "price", "type": "long"}]}
TEXT = json.dumps(PRICE)


def records(*schema_ids: int) -> LogRecords:
    values = [encode_confluent(TEXT, schema_id, {"price": schema_id}) for schema_id in schema_ids]
    return LogRecords.of([LogRecord(n, n, None, value) for n, value in enumerate(values)])


def test_each_id_is_asked_for_once_whether_it_is_known_or_not() -> None:
    with SchemaRegistryStandIn({4: PRICE, 5: {**PRICE, "fields": []}}) as registry:
        lookup = RegistryLookup(registry.url)
        for _ in range(2):
            decoder = AvroDecoder(TEXT, {1: TEXT}, ["price"])
            for _ in range(2):
                lookup.supply(decoder, records(1, 4, 5, 6))
                decoded = decoder.decode(records(1, 4, 5, 6).values)
                assert decoded.columns["price"].values.tolist() == [1, 4, 0, 0]
                assert "price" in decoded.errors[2]
                assert "schema id 6 is unknown to http" in decoded.errors[3]
        assert [path for path, _ in registry.asked] == [f"/schemas/ids/{n}" for n in (4, 5, 6)]


def test_a_registry_that_is_away_is_an_error_and_not_asked_where_nothing_lacks() -> None:
    decoder = AvroDecoder(TEXT, {1: TEXT}, ["price"])
    with SchemaRegistryStandIn() as registry:
        registry.failing = 503
        lookup = RegistryLookup(registry.url)
        lookup.supply(decoder, records(1))
        with pytest.raises(ServiceUnavailable, match="answers 503"):
            lookup.supply(decoder, records(4))


def test_without_a_registry_records_of_unknown_ids_are_errors() -> None:
    decoder = AvroDecoder(TEXT, {1: TEXT}, ["price"])
    RegistryLookup(None).supply(decoder, records(4))
    assert decoder.decode(records(4).values).errors == {0: "schema id 4 is unknown; known: 1"}
