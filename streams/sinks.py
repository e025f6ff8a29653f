"""Where computed rows go. The stream engine knows these shapes; the feature store implements them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.lists import Lists
from headrace.streams.connections.redis_updates import HashUpdate


@dataclass(frozen=True)
class OnlineRows:
    """Rows of one stream feature view, `n` of them, all as of one log prefix and one event time.

    Attributes
    ----------
    view
        Name of the stream feature view.
    keys
        One array of shape (n,) per join key, in the plan's order: int64, or bytes (dtype S) in UTF-8.
    features
        One pair per feature, in the plan's order: values of shape (n,) and dtype int64, float64 or bool
        (event times in epoch milliseconds as int64), or n `Lists` of such, and a bool mask of shape (n,) that
        is False for null.
    partition, offset
        The log prefix the rows follow from: ``[0, offset)`` of this partition (or shard).
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
    @property
    def waiting(self) -> bool:
        """Whether the store cannot be reached at the moment, and `write` waits for it."""

    async def write(self, rows: Sequence[OnlineRows], updates: Sequence[HashUpdate]) -> None:
        """Write rows, then the fields of other hashes that speak of them: progress and counts.

        A row or field that stands for a later prefix of the same log stays. Waits and retries while the store
        cannot be reached; returns only when everything is stored.
        """

    async def close(self) -> None: ...


class FeatureLog(Protocol):
    def append(self, rows: OnlineRows) -> None:
        """Take rows over into memory."""

    def flush(self) -> None:
        """Make everything appended durable."""
