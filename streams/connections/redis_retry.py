"""Errors of Redis that are temporary, and the pauses between tries.

========================================  =====================================================
temporary                                 Redis …
========================================  =====================================================
no connection, no answer, ``LOADING``     is away, or starting
``OOM``                                   is out of memory
``READONLY``, ``MASTERDOWN``              is a replica for the moment
``MISCONF``, ``NOREPLICAS``               cannot save, or not replicate
``BUSY``                                  runs a script
``NOSCRIPT``                              has lost the scripts that a connection loaded
``MOVED``, ``ASK``, ``TRYAGAIN``,         moves a slot to another node of a cluster, or has nobody
``CLUSTERDOWN``                           for it
========================================  =====================================================

Everything else is permanent: ``NOAUTH``, ``WRONGPASS``, ``NOPERM``, ``WRONGTYPE`` and the rest.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from redis import exceptions

from headrace.schemas.errors import ServiceUnavailable

REDIS_ERRORS: Final = (exceptions.RedisError, exceptions.RedisClusterException)  # all of redis-py's
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_TEMPORARY: Final = (
    exceptions.ConnectionError,  # LOADING, and too many clients, among them
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.NoScriptError,
    exceptions.AskError,  # and MOVED
    exceptions.TryAgainError,
    exceptions.ClusterError,  # CLUSTERDOWN, MASTERDOWN, and more redirections than redis-py follows
    OSError,
)
_TEMPORARY_CODES: Final = (  # where redis-py has no class for them, or has not seen them in an answer
    *("MISCONF", "NOREPLICAS", "BUSY"),
    *("OOM", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING"),
)
_OF_SCRIPT: Final = re.compile(r"@user_script: ?[0-9]+: -([A-Z]+) ")
_REFUSED: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError)  # are ConnectionErrors


def is_temporary(error: BaseException) -> bool:
    """Whether the same command may succeed later, without anybody changing the command or the URL.

    Examples
    --------
    >>> is_temporary(exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."))
    True
    >>> is_temporary(exceptions.ResponseError("MISCONF Valkey is configured to save RDB snapshots"))
    True
    >>> answer = "Error running script (call to f_1): @user_script:4: @user_script: 4: -OOM not allowed"
    >>> is_temporary(exceptions.ResponseError(answer))
    True
    >>> is_temporary(exceptions.AuthenticationError("Authentication required."))
    False
    """
    if isinstance(error, _REFUSED):
        return False
    if type(error) is exceptions.RedisClusterException or isinstance(error, exceptions.SlotNotCoveredError):
        return True  # no node answers, or none has the slot
    if isinstance(error, _TEMPORARY):
        return True
    return isinstance(error, exceptions.RedisError) and _code(error) in _TEMPORARY_CODES


def _code(error: BaseException) -> str:
    """The first word of Redis's answer, or of the answer that a script got, as Redis before 7 says it.

    A pipeline of redis-py says before it which command it is of.
    """
    text = str(error).rpartition("pipeline caused error: ")[2]
    of_script = _OF_SCRIPT.search(text)
    return of_script[1] if of_script else text.partition(" ")[0]


def pause_s(failures: int) -> float:
    """Seconds to pause after so many failures in a row: none after the first, then twice as long each time.

    Examples
    --------
    >>> [pause_s(failures) for failures in (1, 2, 3, 4, 20)]
    [0.0, 0.05, 0.1, 0.2, 2.0]
    """
    return 0.0 if failures < 2 else min(_FIRST_PAUSE_S * 2.0 ** min(failures - 2, 16), _LONGEST_PAUSE_S)


class RedisRetries:
    """The tries of a writer that waits for Redis, however long; logs the beginning and the end of an outage.

    Parameters
    ----------
    what
        Names what is written, for messages: ``online rows``.
    log
        Takes the messages.
    """

    def __init__(self, what: str, log: logging.Logger) -> None:
        self._what, self._log = what, log
        self._failures = 0

    @property
    def waiting(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def failed(self, error: Exception) -> float:
        """Return the seconds to pause before the next try.

        Raises
        ------
        ServiceUnavailable
            When the error is permanent.
        """
        if not is_temporary(error):
            raise ServiceUnavailable(f"Redis refuses the {self._what}: {error}") from error
        if not self._failures:
            reason = str(error) or "no answer in time"
            self._log.warning("Redis cannot take %s (%s); waiting and trying again", self._what, reason)
        self._failures += 1
        return pause_s(self._failures)

    def succeeded(self) -> None:
        """End the outage, if there was one."""
        if self._failures:
            self._log.warning("Redis takes %s again", self._what)
        self._failures = 0
