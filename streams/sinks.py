"""Interfaces of the stores that computed rows go to; the feature store implements them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.lists import Lists
from headrace.streams.connections.redis_updates import HashUpdate


@dataclass(frozen=True)
class OnlineRows:
    """`n` rows of one stream feature view, all of one log prefix and one event time.

    Attributes
    ----------
    view
        Name of the stream feature view.
    keys
        An array of shape (n,) per join key, in the plan's order: int64, or bytes (dtype S) in UTF-8.
    features
        A pair per feature, in the plan's order. Values: shape (n,), of dtype int64 (event times in epoch
        milliseconds), float64 or bool, or n `Lists` of such. Validity: bool, shape (n,), False for null.
    partition, offset
        The log prefix that the rows follow from: ``[0, offset)`` of this partition or shard.
    as_of_ms
        Event time of the rows, epoch milliseconds.
    state
        Eight bytes that name the state the rows come from; positions of two states do not compare.
    """

    view: str
    keys: tuple[NDArray[Any], ...]
    features: tuple[tuple[NDArray[Any] | Lists, NDArray[np.bool_]], ...]
    partition: int
    offset: int
    as_of_ms: int
    state: bytes = bytes(8)

    def __len__(self) -> int:
        return len(self.keys[0])


class OnlineSink(Protocol):
    """The online store, as the worker writes it."""

    @property
    def waiting(self) -> bool:
        """Whether the store cannot take rows at the moment, and `write` waits for it."""

    @property
    def two_partitions(self) -> Mapping[str, int]:
        """Source to rows that replaced one of another partition, since this process began."""

    async def write(self, rows: Sequence[OnlineRows], updates: Sequence[HashUpdate]) -> None:
        """Write rows, then the progress and counts that follow from them.

        A row or field of a later prefix of the same log stays. Waits and retries while the store cannot take
        them, and returns when everything is stored.

        Raises
        ------
        ServiceUnavailable
            When the store refuses for good.
        """

    async def close(self) -> None:
        """Close the connections."""


class FeatureLog(Protocol):
    """The offline store, as the worker writes it."""

    def append(self, rows: OnlineRows) -> None:
        """Take rows into memory."""

    def flush(self) -> None:
        """Make all rows taken durable."""
