"""Writer schemas that a registry has, handed to the decoders that lack them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from headrace.schemas.avro import AvroDecoder
from headrace.schemas.errors import SchemaError, ServiceUnavailable
from headrace.schemas.event_decoder import EventDecoder
from headrace.streams.connections.schema_registry import RegistryAccess, SchemaRegistry
from headrace.streams.log.records import LogRecords

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _STEP_S = 0.2, 15.0, 0.1


class WriterSchemas:
    """Hands decoders the writer schemas they lack.

    Parameters
    ----------
    registry
        Where to look; None leaves every decoder as it is.
    """

    def __init__(self, registry: SchemaRegistry | None) -> None:
        self._registry = registry
        self._known: dict[int, str] = {}
        self._waiting = 0

    @property
    def waiting(self) -> bool:
        """Whether records are held back until the registry answers."""
        return self._waiting > 0

    @classmethod
    def at(cls, access: RegistryAccess | str | None) -> WriterSchemas:
        """Return the schemas of a registry, if there is one."""
        return cls(SchemaRegistry(access) if access else None)

    async def supply(
        self,
        decoder: EventDecoder | None,
        records: LogRecords,
        wanted: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Give `decoder` the schema of every schema id of the records, or the reason why there is none.

        Waits while the registry cannot be asked; returns False once the records are not `wanted` any more. An
        id that the registry does not have is asked for again with the next range that has it.
        """
        if self._registry is None or not isinstance(decoder, AvroDecoder):
            return True
        unknown: dict[int, str] = {}
        for schema_id in decoder.unknown_ids(records.values):
            try:
                text = await self._schema(self._registry, schema_id, wanted)
            except SchemaError as error:
                unknown[schema_id] = str(error)
                continue
            if text is None:
                return False
            decoder.add_writer(schema_id, text)
        decoder.explain_unknown(unknown)
        return True

    async def supply_range(self, app: Any, decoder: EventDecoder | None, message: Any) -> bool:
        """Do `supply` for a range that `app` has delivered.

        False when the range is to be read again, since neither a rebalance nor the end of the process waits
        for a registry.
        """
        if await self.supply(decoder, message.value, app.flow_control.is_active):
            return bool(message.generation_id == app.consumer_generation_id)
        app.consumer.release(message)
        return False

    async def _schema(
        self, registry: SchemaRegistry, schema_id: int, wanted: Callable[[], bool]
    ) -> str | None:
        """Return a schema; None once the records are not wanted any more."""
        if schema_id not in self._known:
            self._waiting += 1
            try:
                schema = await _fetched(registry, schema_id, wanted)
            finally:
                self._waiting -= 1
            if schema is None:
                return None
            self._known[schema_id] = schema
        return self._known[schema_id]


async def _fetched(registry: SchemaRegistry, schema_id: int, wanted: Callable[[], bool]) -> str | None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            schema = await asyncio.to_thread(registry.schema, schema_id)
            _log.info("schema id %d fetched from %s", schema_id, registry.address)
            return schema
        except ServiceUnavailable as error:
            _log.warning("records of schema id %d wait, next try in %.1f s: %s", schema_id, pause_s, error)
            if not await _paused(pause_s, wanted):
                return None
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _paused(seconds: float, wanted: Callable[[], bool]) -> bool:
    """Sleep in small steps; False as soon as the records are not wanted any more."""
    for _ in range(round(seconds / _STEP_S)):
        if not wanted():
            return False
        await asyncio.sleep(_STEP_S)
    return wanted()
