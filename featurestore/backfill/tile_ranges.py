"""Past records in ranges that end where a tile does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import TypeVar

Item = TypeVar("Item")


def tile_ranges(
    items: Iterable[Item], appended_ms: Callable[[Item], int], tile_ms: int, most: int
) -> Iterator[list[Item]]:
    """Cut items where the append time enters another tile: rows are as of the end of a range.

    Parameters
    ----------
    items
        In the order of the log.
    appended_ms
        The append time of an item, epoch milliseconds.
    most
        Items of a range.

    Examples
    --------
    >>> times = [0, 40, 59, 60, 61, 130]
    >>> list(tile_ranges(times, lambda ms: ms, tile_ms=60, most=2))
    [[0, 40], [59], [60, 61], [130]]
    """
    for _, same_tile in groupby(items, lambda item: appended_ms(item) // tile_ms):
        while cut := list(islice(same_tile, most)):
            yield cut
