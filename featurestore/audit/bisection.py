"""Functions of users over many rows, where a row may make them fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")


def bisected(
    rows: int, run: Callable[[slice], Result], error: type[Exception] = Exception
) -> Iterator[tuple[slice, Result | Exception]]:
    """Run a function on all rows, and where it fails on either half of them, down to the single row.

    Parameters
    ----------
    rows
        How many; none gives nothing.
    run
        Takes the rows of a slice.
    error
        What counts as failing; anything else is raised.

    Yields
    ------
    tuple
        In order of the rows, a slice with its result, or a slice of one row with the error.

    Examples
    --------
    >>> values = [4, 2, 0, 1]
    >>> for rows, result in bisected(4, lambda rows: [1 / value for value in values[rows]]):
    ...     print(values[rows], result)
    [4, 2] [0.25, 0.5]
    [0] division by zero
    [1] [1.0]
    """
    waiting = [slice(0, rows)] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            result = run(part)
        except error as failure:
            if part.stop - part.start == 1:
                yield part, failure
            else:
                middle = (part.start + part.stop) // 2
                waiting += [slice(middle, part.stop), slice(part.start, middle)]
        else:
            yield part, result
