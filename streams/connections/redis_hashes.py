"""Publishing of progress and counts to Redis, however long it is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
from headrace.streams.connections.redis_updates import HashUpdate, write_fields

_log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0


class HashPublisher:
    """Writes fields of Redis hashes.

    Parameters
    ----------
    redis_url
        See `headrace.streams.connections.redis_url`.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client(redis_url, _TIMEOUT_S, retries=0)
        self._retries = RedisRetries("progress", _log)

    @property
    def waiting(self) -> bool:
        """Whether Redis cannot take progress at the moment, and `publish` waits for it."""
        return self._retries.waiting

    def publish(self, updates: Sequence[HashUpdate]) -> None:
        """Write the fields of each update, unless those of a later prefix are there.

        Blocks, and tries again, while Redis cannot take them.

        Raises
        ------
        ServiceUnavailable
            When Redis refuses for good, for example a wrong password.
        """
        while True:
            try:
                write_fields(self._redis, updates)
            except REDIS_ERRORS as error:
                time.sleep(self._retries.failed(error))
            else:
                return self._retries.succeeded()
