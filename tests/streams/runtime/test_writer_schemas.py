"""A registry that is away: records wait without hurry, by a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.streams.connections.schema_registry import SchemaRegistry
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.runtime.writer_schemas import MISSING_S, WriterSchemas
from headrace.testing import SchemaRegistryStandIn

PRICE = {"type": "record", "name": "E", "fields": [{"name": "price", "type": "long"}]}
TEXT = json.dumps(PRICE)


class Clock:
    """Goes on by what is slept. `at` sets the registry right, or wrong, at a time."""

    def __init__(self, registry: SchemaRegistryStandIn) -> None:
        self.now_s, self._registry = 0.0, registry
        self.at: dict[float, int | None] = {}
        self.asked_at: list[float] = []

    def now(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s = round(self.now_s + seconds, 6)
        for due_s in [due_s for due_s in self.at if due_s <= self.now_s]:
            self._registry.failing = self.at.pop(due_s)


@pytest.fixture
def registry() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn({4: PRICE}) as server:
        yield server


@pytest.fixture
def clock(registry: SchemaRegistryStandIn) -> Clock:
    return Clock(registry)


@pytest.fixture
def schemas(registry: SchemaRegistryStandIn, clock: Clock) -> WriterSchemas:
    return WriterSchemas(SchemaRegistry(registry.url), now=clock.now, sleep=clock.sleep)


def decoder() -> AvroDecoder:
    return AvroDecoder(TEXT, {1: TEXT}, ["price"])


def records(*schema_ids: int) -> LogRecords:
    values = [encode_confluent(TEXT, schema_id, {"price": 5}) for schema_id in schema_ids]
    return LogRecords.of([LogRecord(n, n, None, value) for n, value in enumerate(values)])


async def test_a_registry_that_is_away_for_an_hour_is_asked_every_15_seconds(
    registry: SchemaRegistryStandIn, clock: Clock, schemas: WriterSchemas
) -> None:
    registry.failing, clock.at = 503, {3_600.0: None}
    one = decoder()
    assert await schemas.supply(one, records(4))
    assert 3_600 <= clock.now_s < 3_616
    assert len(registry.asked) < 3_600 / 15 + 10
    assert one.decode(records(4).values).errors == {}
    assert not schemas.waiting


async def test_one_id_is_asked_for_while_the_registry_is_away_and_the_rest_together_when_it_is_back(
    registry: SchemaRegistryStandIn, clock: Clock, schemas: WriterSchemas
) -> None:
    registry.failing, clock.at = 503, {60.0: None}
    wanted = [4, *range(5_000, 5_039)]
    assert await schemas.supply(decoder(), records(*wanted))
    first, again, rest = registry.asked[:16], registry.asked[16:-39], registry.asked[-39:]
    assert len(set(first)) == 16
    assert len(set(again)) == 1
    assert 5 <= len(again) <= 12
    assert len(set(rest)) == 39
    assert {path for path, _ in (*again, *rest)} == {f"/schemas/ids/{n}" for n in wanted}


async def test_the_pause_begins_short_again_once_the_registry_has_answered(
    registry: SchemaRegistryStandIn, clock: Clock, schemas: WriterSchemas
) -> None:
    for schema_id in (4, 5):
        registry.schemas[schema_id] = PRICE
        began_s = clock.now_s
        registry.failing, clock.at = 503, {began_s + 0.1: None}
        assert await schemas.supply(decoder(), records(schema_id))
        assert clock.now_s == began_s + 0.2


async def test_records_that_are_not_wanted_any_more_are_let_go_within_a_step(
    registry: SchemaRegistryStandIn, clock: Clock, schemas: WriterSchemas
) -> None:
    """For a rebalance, or the end of the process."""
    registry.failing = 503
    assert not await schemas.supply(decoder(), records(4), lambda: clock.now_s < 100)
    assert clock.now_s < 100.2
    assert not schemas.waiting


async def test_an_unknown_id_is_remembered_for_its_time_and_then_asked_for_again(
    registry: SchemaRegistryStandIn, clock: Clock, schemas: WriterSchemas
) -> None:
    one = decoder()
    for now_s, times in ((0.0, 1), (MISSING_S - 0.1, 1), (MISSING_S, 2), (2 * MISSING_S - 0.1, 2)):
        clock.now_s = now_s
        assert await schemas.supply(one, records(7))
        assert len(registry.asked) == times
        assert "schema id 7 is unknown to http" in one.decode(records(7).values).errors[0]
    registry.schemas[7] = PRICE
    clock.now_s = 2 * MISSING_S
    assert await schemas.supply(one, records(7))
    assert one.decode(records(7).values).errors == {}


async def test_an_id_that_no_registry_gives_is_not_asked_for(
    registry: SchemaRegistryStandIn, schemas: WriterSchemas
) -> None:
    """Registries answer it as if they were out of order, and then the records would wait for ever."""
    one = decoder()
    assert await schemas.supply(one, records(2**31, 2**32 - 1))
    errors = one.decode(records(2**31, 2**32 - 1).values).errors
    assert errors[0] == f"schema id {2**31} is none that a registry gives: those are at most {2**31 - 1}"
    assert list(errors) == [0, 1]
    assert registry.asked == []
