"""Writer schemas that a registry has, for commands, which fail where a worker would wait."""

from __future__ import annotations

from headrace.schemas.avro import AvroDecoder
from headrace.schemas.errors import SchemaError
from headrace.schemas.event_decoder import EventDecoder
from headrace.streams.connections.schema_registry import RegistryAccess, SchemaRegistry
from headrace.streams.log.records import LogRecords


class RegistryLookup:
    """Hands decoders the writer schemas they lack.

    Parameters
    ----------
    access
        Address and account of the registry; None leaves every decoder as it is.
    """

    def __init__(self, access: RegistryAccess | str | None) -> None:
        self._registry = SchemaRegistry(access) if access else None
        self._known: dict[int, str] = {}
        self._missing: dict[int, str] = {}

    def supply(self, decoder: EventDecoder, records: LogRecords) -> None:
        """Give `decoder` the schema of every schema id of the records, or the reason why there is none.

        Each id is asked for once. Blocks.

        Raises
        ------
        ServiceUnavailable
            When the registry cannot be asked.
        """
        if self._registry is None or not isinstance(decoder, AvroDecoder):
            return
        lacking = decoder.unknown_ids(records.values)
        for schema_id in lacking:
            if (text := self._schema(self._registry, schema_id)) is not None:
                decoder.add_writer(schema_id, text)
        decoder.explain_unknown(
            {number: self._missing[number] for number in lacking if number in self._missing}
        )

    def _schema(self, registry: SchemaRegistry, schema_id: int) -> str | None:
        if schema_id not in self._known and schema_id not in self._missing:
            try:
                self._known[schema_id] = registry.schema(schema_id)
            except SchemaError as error:
                self._missing[schema_id] = str(error)
        return self._known.get(schema_id)
