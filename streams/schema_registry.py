"""Writer schemas that are not in the plan, from a registry with Confluent's HTTP interface.

An id is immutable, so what was fetched is kept for ever. A registry that does not know an id has its records
become dead letters; one that cannot be asked holds them back, since a record that can be read tomorrow is no
poison.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from schemas.avro import AvroDecoder
from schemas.errors import SchemaError, ServiceUnavailable
from schemas.event_decoder import EventDecoder
from streams.log_records import LogRecords

log = logging.getLogger(__name__)

_ACCEPTED = "application/vnd.schemaregistry.v1+json, application/json"
_TIMEOUT_S = 10.0
_NO_SUCH_SCHEMA = 40403
_LONGEST_ANSWER = 4 * 1024**2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _STEP_S = 0.2, 15.0, 0.1


class SchemaRegistry:
    """Asks a registry for schemas by their ids.

    Parameters
    ----------
    url
        Of its Confluent interface, for example ``https://user:password@registry:8081``; of Apicurio's,
        ``http://registry:8080/apis/ccompat/v7``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._account = None
        if parts.username is not None:
            account = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._account = "Basic " + base64.b64encode(account).decode()

    def schema(self, schema_id: int) -> str:
        """The Avro schema with this id, in JSON; blocks.

        Raises
        ------
        SchemaError
            When the registry knows that there is none, or none that can be used.
        ServiceUnavailable
            When it does not say: it is away, overloaded, or not a registry.
        """
        answer = self._get(f"{self.address}/schemas/ids/{schema_id}", schema_id)
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise SchemaError(f"schema id {schema_id} is {answer['schemaType']} in {self.address}, not Avro")
        if answer.get("references"):
            raise SchemaError(
                f"schema id {schema_id} in {self.address} refers to types of other subjects, which is not "
                "followed; register it with its types written out"
            )
        if not isinstance(answer.get("schema"), str):
            raise ServiceUnavailable(f"{self.address} answers without a schema; is it the URL of a registry?")
        return str(answer["schema"])

    def _get(self, url: str, schema_id: int) -> dict[str, Any]:
        request = urllib.request.Request(url, headers={"Accept": _ACCEPTED})
        if self._account is not None:
            request.add_unredirected_header("Authorization", self._account)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                answer = json.loads(response.read(_LONGEST_ANSWER))
        except HTTPError as error:
            with error:
                if error.code == 404 and _error_code(error) == _NO_SUCH_SCHEMA:
                    raise SchemaError(f"schema id {schema_id} is unknown to {self.address}") from error
            raise ServiceUnavailable(f"{url} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceUnavailable(f"{url} cannot be asked: {error!r}") from error
        if not isinstance(answer, dict):
            raise ServiceUnavailable(f"{url} answers no object; is it the URL of a registry?")
        return answer


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
        """Whether records are held back for want of an answer."""
        return self._waiting > 0

    @classmethod
    def at(cls, url: str | None) -> WriterSchemas:
        """Those of the registry at a URL, if there is one."""
        return cls(SchemaRegistry(url) if url else None)

    async def supply(
        self,
        decoder: EventDecoder,
        records: LogRecords,
        wanted: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Have `decoder` know every schema id of the records, or know that there is no such schema.

        Waits for a registry that cannot be asked; gives up, and returns False, once it is not `wanted` any
        more. An id the registry does not know is asked for again with the next range that has it.
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

    async def _schema(
        self, registry: SchemaRegistry, schema_id: int, wanted: Callable[[], bool]
    ) -> str | None:
        """The schema; None once it is not wanted any more."""
        if schema_id not in self._known:
            self._waiting += 1
            try:
                found = await _fetched(registry, schema_id, wanted)
            finally:
                self._waiting -= 1
            if found is None:
                return None
            self._known[schema_id] = found
        return self._known[schema_id]


async def _fetched(registry: SchemaRegistry, schema_id: int, wanted: Callable[[], bool]) -> str | None:
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            found = await asyncio.to_thread(registry.schema, schema_id)
            log.info("schema id %d fetched from %s", schema_id, registry.address)
            return found
        except ServiceUnavailable as error:
            log.warning("records of schema id %d wait, next try in %.1f s: %s", schema_id, pause_s, error)
            if not await _paused(pause_s, wanted):
                return None
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _error_code(error: HTTPError) -> object:
    try:
        answer = json.loads(error.read(_LONGEST_ANSWER))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return answer.get("error_code") if isinstance(answer, dict) else None


async def _paused(seconds: float, wanted: Callable[[], bool]) -> bool:
    """Sleep in small steps; False as soon as it is not wanted any more."""
    for _ in range(round(seconds / _STEP_S)):
        if not wanted():
            return False
        await asyncio.sleep(_STEP_S)
    return wanted()
