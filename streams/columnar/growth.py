"""Arrays with a row per slot that get more rows as slots are handed out."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def room_for(rows: int, have: int) -> int:
    """Return how many rows an array of `have` rows grows to for `rows`: an eighth more, so that it is seldom.

    >>> room_for(9, 8), room_for(1001, 1000), room_for(2000, 1000)
    (64, 1125, 2000)
    """
    return max(rows, have + have // 8, 64)


def extend(array: NDArray[Any], rows: int, fill: Any = 0) -> None:
    """Give an array so many rows, the new ones filled.

    In place: the allocator moves pages, not bytes, and there are never two arrays. Nobody may hold a view.

    >>> import numpy as np
    >>> numbers = np.array([[1, 2]])
    >>> extend(numbers, 2, fill=7)
    >>> numbers.tolist()
    [[1, 2], [7, 7]]
    """
    have = len(array)
    array.resize((rows, *array.shape[1:]), refcheck=False)
    array[have:] = fill
