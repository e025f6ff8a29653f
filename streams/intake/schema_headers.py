"""Schemas that a producer names in a header, in place of the first bytes of the value."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

HEADER = "__value_schema_id"
_GUID_MAGIC = 1  # first byte of the header; the 16 of the GUID follow
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
    >>> with_schema_hint("no magic byte", [("__value_schema_id", bytes([1] * 17))])[:81]
    'no magic byte; its schema is named in the header __value_schema_id, by the GUID 0'
    """
    named = [value or b"" for name, value in headers if name == HEADER]
    if not named:
        return reason
    by = f", by the GUID {guid}" if (guid := _guid(named[-1])) else ""
    return f"{reason}; its schema is named in the header {HEADER}{by}, where it is not read: {_REMEDY}"


def _guid(header: bytes) -> UUID | None:
    """Return the GUID in the header; None of a header that has none."""
    return UUID(bytes=header[1:17]) if len(header) >= 17 and header[0] == _GUID_MAGIC else None
