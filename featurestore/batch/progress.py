"""How far each batch view is materialised.

The Redis hash ``headrace:{project}:materialized`` holds, by view, ``{definition}@{epoch microseconds}``. The
hash is beside the rows themselves: what loses the one loses the other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec
from headrace.streams.connections.redis import redis_client

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class MaterializationProgress:
    """The end of the last run that wrote a batch view.

    Parameters
    ----------
    redis_url
        The online store.
    project
        Name of the Feast project.
    """

    def __init__(self, redis_url: str, project: str) -> None:
        self._redis = redis_client(redis_url)
        self._key = f"headrace:{project}:materialized"

    def read(self, view: BatchViewSpec) -> datetime | None:
        """Return the end of the last run; None for a view that was not written, or by another definition.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer.
        """
        try:
            raw: Any = self._redis.hget(self._key, view.name)
        except redis.RedisError as error:
            raise _unavailable(error) from error
        definition, _, end_us = (raw or b"").decode().partition("@")
        if definition != _definition_hash(view):
            return None
        return _EPOCH + int(end_us) * _MICROSECOND

    def write(self, view: BatchViewSpec, end: datetime) -> None:
        """Store the end of a run, once its rows are written.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer.
        """
        try:
            self._redis.hset(
                self._key, view.name, f"{_definition_hash(view)}@{(end - _EPOCH) // _MICROSECOND}"
            )
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        self._redis.close()


def _definition_hash(view: BatchViewSpec) -> str:
    no_part_of_a_row: Any = {"ttl_ms": True, "features": {"__all__": {"length"}}}
    text = json.dumps(view.model_dump(mode="json", exclude=no_part_of_a_row), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unavailable(error: redis.RedisError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Redis does not tell up to when batch views are written: {error}; run it again"
    )
