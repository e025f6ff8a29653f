"""Progress and counts to Redis, however long it is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import redis

from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_updates import HashUpdate, write_fields

_log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_PAUSE_S = (0.05, 2.0)  # first and longest between two tries
_PASSING = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.OutOfMemoryError)


class HashPublisher:
    """Writes fields of Redis hashes.

    Parameters
    ----------
    redis_url
        See `headrace.streams.connections.redis_url`.

    Attributes
    ----------
    waiting
        Whether Redis cannot be reached at the moment, and `publish` waits for it.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client(redis_url, _TIMEOUT_S, retries=0)
        self.waiting = False

    def publish(self, updates: Sequence[HashUpdate]) -> None:
        """Write the fields of each update, unless those of a later prefix are there; blocks, and tries again,
        while Redis cannot take them."""
        pause_s = _PAUSE_S[0]
        while True:
            try:
                write_fields(self._redis, updates)
            except _PASSING as error:
                if not self.waiting:
                    _log.warning("Redis cannot take progress (%s); waiting and trying again", error)
                self.waiting = True
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S[1])
            else:
                if self.waiting:
                    _log.warning("Redis takes progress again")
                self.waiting = False
                return
