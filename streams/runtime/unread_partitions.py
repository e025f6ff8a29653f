"""Partitions that a group gives to a process which does not know how to process them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from headrace.streams.runtime.health import Where

_log = logging.getLogger(__name__)


class UnreadPartitions:
    """Sorts out partitions that a process does not know, so that it goes on with the others.

    They stay at their offsets: a process that knows them reads them from there.

    Parameters
    ----------
    is_known
        Whether a partition of a topic can be processed.

    Attributes
    ----------
    places
        Those of the last assignment; may be read from any thread.

    Examples
    --------
    >>> from faust.types import TP
    >>> unread = UnreadPartitions(lambda place: place[1] < 2)
    >>> unread.sort_out({TP("clicks", 0), TP("clicks", 2)})
    {TP(topic='clicks', partition=0)}
    >>> unread.places
    (('clicks', 2),)
    """

    def __init__(self, is_known: Callable[[Where], bool]) -> None:
        self._is_known = is_known
        self.places: tuple[Where, ...] = ()

    def sort_out(self, partitions: Iterable[Any]) -> set[Any]:
        """Return the known ones of an assignment, and keep and log the others."""
        known = {tp for tp in partitions if self._is_known((tp.topic, tp.partition))}
        places = tuple(sorted((tp.topic, tp.partition) for tp in set(partitions) - known))
        for topic, partition in places:
            _log.error(
                "%s[%d] is not processed: the topic had fewer partitions when the plan was applied. "
                "`headrace plan` says what that means. Then run `headrace apply` and start this process anew",
                topic,
                partition,
            )
        self.places = places
        return known
