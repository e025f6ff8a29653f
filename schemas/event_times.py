"""The event times that every store can hold, and the guard of all that moves a clock.

Nanoseconds since 1970 in 64 bits, as pandas and Parquet have them, reach from 1677 to 2262. The bounds are
the whole years inside. Within them the difference of two times is no overflow either.
"""

from __future__ import annotations

from typing import Final

EARLIEST_MS: Final = -9_214_560_000_000  # 1678-01-01
LATEST_MS: Final = 9_214_646_400_000  # 2262-01-01
DEFAULT_MAX_FUTURE_MS: Final = 60_000
BROKER_AHEAD_MS: Final = 30_000  # how far ahead of its clock a broker is to let a producer's be
READER_AHEAD_MS: Final = 2 * BROKER_AHEAD_MS  # and a reader, whose clock differs from the broker's


def time_fault(time_ms: int, appended_ms: int, max_future_ms: int) -> str | None:
    """Say why a time may not move a clock; None when it may.

    Parameters
    ----------
    time_ms
        Event time or time of a mark, epoch milliseconds.
    appended_ms
        When its record was appended, by a clock that is not the record's own.
    max_future_ms
        How far ahead of that it may be.

    Examples
    --------
    >>> time_fault(1_500, appended_ms=1_000, max_future_ms=400)
    'its time 1500 is 500 ms after the record was appended; 400 ms are allowed'
    >>> time_fault(1_300, appended_ms=1_000, max_future_ms=400)
    """
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        return f"its time {short(time_ms)} is not between the years 1678 and 2262; send epoch milliseconds"
    if time_ms - appended_ms > max_future_ms:
        ahead = f"{time_ms - appended_ms} ms after the record was appended"
        return f"its time {time_ms} is {ahead}; {max_future_ms} ms are allowed"
    return None


def short(number: int) -> str:
    """Return a number as text, one of many digits by its first ones.

    >>> short(10**40)
    '10000000000000000000… (41 digits)'
    """
    text = str(number)
    return text if len(text) <= 20 else f"{text[:20]}… ({len(text)} digits)"
