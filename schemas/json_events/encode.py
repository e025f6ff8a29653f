"""Encoding of events as JSON objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headrace.schemas.errors import RecordError


class JsonEncoder:
    """Encodes records as compact JSON in UTF-8. A datetime becomes text in ISO 8601.

    Examples
    --------
    >>> JsonEncoder().encode({"user": "ada", "price": 5})
    b'{"user":"ada","price":5}'
    """

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Encode a record.

        Raises
        ------
        RecordError
            When a value has no form in JSON: NaN and infinities, bytes, decimals, times without a zone.
        """
        try:
            text = json.dumps(
                dict(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_written
            )
        except (TypeError, ValueError) as error:
            raise RecordError(f"the record cannot be written as JSON: {error}") from error
        return text.encode()


def _written(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON; give text, a number, a boolean or null")
