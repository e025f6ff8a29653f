"""Schemas that a producer names in a header, in place of the first bytes of the value."""

from __future__ import annotations

from collections.abc import Iterable

HEADER = "__value_schema_id"
_REMEDY = (
    "give the producer value.schema.id.serializer="
    "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"
)


def with_schema_hint(reason: str, headers: Iterable[tuple[str, bytes | None]]) -> str:
    """Return why a value cannot be read, with the remedy where its schema is named in a header.

    Examples
    --------
    >>> with_schema_hint("no magic byte", [])
    'no magic byte'
    >>> with_schema_hint("no magic byte", [("__value_schema_id", b"")])[:62]
    'no magic byte; the GUID of its schema is in the header __value'
    """
    if all(name != HEADER for name, _ in headers):
        return reason
    return f"{reason}; the GUID of its schema is in the header {HEADER}, where it is not read: {_REMEDY}"
