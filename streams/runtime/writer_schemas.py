"""Writer schemas that a registry has, handed to the decoders that lack them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headrace.schemas.avro import AvroDecoder
from headrace.schemas.errors import SchemaError, ServiceUnavailable
from headrace.schemas.event_decoder import EventDecoder
from headrace.streams.connections.schema_registry import RegistryAccess, SchemaRegistry
from headrace.streams.log.records import LogRecords

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _STEP_S = 0.2, 15.0, 0.1
_TOGETHER = 16  # ids that are asked for at the same time
MISSING_S = 10.0
_MOST_MISSING = 100_000


class WriterSchemas:
    """Hands decoders the writer schemas they lack.

    Parameters
    ----------
    registry
        Where to look; None leaves every decoder as it is.
    missing_s
        For how long an id that the registry does not have is not asked for again, seconds.
    now, sleep
        A monotonic clock, and what waits by it, both in seconds.
    """

    def __init__(
        self,
        registry: SchemaRegistry | None,
        missing_s: float = MISSING_S,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._registry, self._missing_s = registry, missing_s
        self._now, self._sleep = now, sleep
        # Threads of its own: a registry that does not answer must not keep checkpoints waiting for one.
        self._threads = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="schema-registry")
        self._known: dict[int, str] = {}
        self._missing: dict[int, tuple[str, float]] = {}  # reason, and until when it counts
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
        id that the registry does not have is asked for again with a range that comes `missing_s` later.
        """
        if self._registry is None or not isinstance(decoder, AvroDecoder):
            return True
        lacking = decoder.unknown_ids(records.values)
        now = self._now()
        unasked = [n for n in lacking if n not in self._known and self._missing.get(n, ("", 0.0))[1] <= now]
        self._waiting += 1
        try:
            if unasked and not await self._ask(self._registry, unasked, wanted):
                return False
        finally:
            self._waiting -= 1
        for schema_id in lacking:
            if schema_id in self._known:
                decoder.add_writer(schema_id, self._known[schema_id])
        decoder.explain_unknown({n: self._missing[n][0] for n in lacking if n in self._missing})
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

    async def _ask(
        self, registry: SchemaRegistry, schema_ids: Sequence[int], wanted: Callable[[], bool]
    ) -> bool:
        """Ask for schemas, some at a time, until each is known or known to be missing.

        A registry that is away is asked for one of them, ever more seldom, until it answers.
        """
        self._forget_missing()
        left, pause_s, together = list(schema_ids), _FIRST_PAUSE_S, _TOGETHER
        while left:
            asked = left[:together]
            away = await self._ask_together(registry, asked)
            left = [*(n for n in asked if n in away), *left[together:]]
            if not away:
                pause_s, together = _FIRST_PAUSE_S, _TOGETHER
                continue
            together = 1
            schema_id, error = next(iter(away.items()))
            others = f" and {len(left) - 1} more" if len(left) > 1 else ""
            _log.warning(
                "records of schema id %d%s wait, next try in %.1f s: %s", schema_id, others, pause_s, error
            )
            if not await self._paused(pause_s, wanted):
                return False
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return True

    async def _ask_together(
        self, registry: SchemaRegistry, schema_ids: Sequence[int]
    ) -> dict[int, ServiceUnavailable]:
        """Ask for some schemas at the same time; return those about which the registry could not be asked."""
        loop = asyncio.get_running_loop()
        tasks = [loop.run_in_executor(self._threads, registry.schema, schema_id) for schema_id in schema_ids]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        away = {}
        for schema_id, answer in zip(schema_ids, answers, strict=True):
            if isinstance(answer, str):
                _log.info("schema id %d fetched from %s", schema_id, registry.address)
                self._known[schema_id] = answer
                self._missing.pop(schema_id, None)
            elif isinstance(answer, SchemaError):
                self._missing[schema_id] = str(answer), self._now() + self._missing_s
            elif isinstance(answer, ServiceUnavailable):
                away[schema_id] = answer
            else:
                raise answer
        return away

    def _forget_missing(self) -> None:
        """Keep what is remembered bounded: ids are made up as fast as records are written."""
        if len(self._missing) > _MOST_MISSING:
            now = self._now()
            self._missing = {n: entry for n, entry in self._missing.items() if entry[1] > now}
        while len(self._missing) > _MOST_MISSING:
            del self._missing[next(iter(self._missing))]

    async def _paused(self, seconds: float, wanted: Callable[[], bool]) -> bool:
        """Sleep in small steps; False as soon as the records are not wanted any more."""
        for _ in range(round(seconds / _STEP_S)):
            if not wanted():
                return False
            await self._sleep(_STEP_S)
        return wanted()
