"""Deletes the online rows of views that are gone."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import redis

from headrace.featurestore.redis_codec.layout import (
    feature_field,
    key_prefix,
    provenance_field,
    timestamp_field,
)
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis_retry import REDIS_ERRORS

_SCAN_STEP = 2_000  # keys
_GLOB = re.compile(rb"[*?\[\]\\]")


def remove_rows(
    client: redis.Redis,
    project: str,
    view: str,
    join_keys: Sequence[str],
    features: Iterable[str],
    key_version: int = 3,
) -> int:
    """Delete the rows of a view; those of other views of the entity stay. May be repeated.

    Parameters
    ----------
    client
        A Redis client that does not decode.
    project, view
        Whose rows.
    join_keys, features
        Of the view.
    key_version
        Feast's ``entity_key_serialization_version``.

    Returns
    -------
    int
        How many rows there were.

    Raises
    ------
    ServiceUnavailable
        When Redis does not take it.
    """
    time_field = timestamp_field(view)
    fields = [time_field, provenance_field(view), *(feature_field(view, name) for name in features)]
    removed = 0
    try:
        found = entity_keys(client, project, join_keys, key_version)
        while keys := list(islice(found, _SCAN_STEP)):
            asked = client.pipeline(transaction=False)
            for key in keys:
                asked.hexists(key, time_field)  # type: ignore[arg-type]
            deletions = client.pipeline(transaction=False)
            for key in (key for key, has in zip(keys, asked.execute(), strict=True) if has):
                deletions.hdel(key, *fields)  # type: ignore[arg-type]
                removed += 1
            deletions.execute()
    except (*REDIS_ERRORS, OSError) as error:
        raise ServiceUnavailable(f"the rows of view '{view}' cannot be deleted: {error}") from error
    return removed


def entity_keys(
    client: redis.Redis, project: str, join_keys: Sequence[str], key_version: int = 3
) -> Iterator[bytes]:
    """Yield the keys of entities of one project; one may come twice, as Redis scans."""
    prefix, suffix = key_prefix(sorted(join_keys), key_version), project.encode()
    pattern = _GLOB.sub(rb"\\\g<0>", prefix) + b"*" + _GLOB.sub(rb"\\\g<0>", suffix)
    for key in client.scan_iter(match=pattern, count=_SCAN_STEP):
        if _project_of(key, len(prefix), len(join_keys)) == suffix:
            yield key


def _project_of(key: bytes, start: int, values: int) -> Any:
    """The end of an entity's key behind its values; None where these do not end in it.

    A pattern alone takes the keys of project ``eshop`` for those of ``shop``.
    """
    for _ in range(values):
        if len(key) < start + 8:
            return None
        start += 8 + struct.unpack_from("<I", key, start + 4)[0]
    return key[start:]
