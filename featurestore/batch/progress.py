"""How far each batch view is materialised.

The Redis hash ``headrace:{project}:materialized`` holds, by view, ``{definition}@{epoch microseconds}``. The
hash is beside the rows themselves: what loses the one loses the other.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec
from headrace.schemas.follows_from import table_definition
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class MaterializationProgress:
    """The end of the last run that wrote a batch view.

    Parameters
    ----------
    redis_url
        The online store.
    plan
        The plan, which says what the rows of a view follow from.
    """

    def __init__(self, redis_url: str, plan: Plan) -> None:
        self._redis, self._plan = redis_client(redis_url), plan
        self._key = _key(plan.project)

    def read(self, view: BatchViewSpec) -> datetime | None:
        """Return the end of the last run; None for a view that was not written, or by another definition.

        None of an entry that is damaged, too.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer.
        """
        try:
            raw: Any = self._redis.hget(self._key, view.name)
        except redis.RedisError as error:
            raise _unavailable(error) from error
        try:
            definition, _, end_us = (raw or b"").decode().partition("@")
            is_own = definition == table_definition(self._plan, view)
            return _EPOCH + int(end_us) * _MICROSECOND if is_own else None
        except (ValueError, OverflowError):  # damaged: all of the table is read again
            return None

    def write(self, view: BatchViewSpec, end: datetime) -> None:
        """Store the end of a run, once its rows are written.

        Raises
        ------
        ServiceUnavailable
            When Redis does not answer.
        """
        try:
            self._redis.hset(
                self._key, view.name, f"{table_definition(self._plan, view)}@{(end - _EPOCH) // _MICROSECOND}"
            )
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        self._redis.close()


def forget_materialized(client: redis.Redis, project: str, view: str) -> None:
    """Forget how far a view is written, before its rows are deleted: it is written from the beginning again.

    Raises
    ------
    ServiceUnavailable
        When Redis does not answer.
    """
    try:
        client.hdel(_key(project), view)
    except redis.RedisError as error:
        raise _unavailable(error) from error


def _key(project: str) -> str:
    return f"headrace:{project}:materialized"


def _unavailable(error: redis.RedisError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Redis does not tell up to when batch views are written: {error}; run it again"
    )
