"""Order marks: records that say where a log stands in the order of two logs that are read as one.

The join reads predictions and outcomes in the order of their *order clocks*. The order clock of a log is the
greatest event time up to a record, so a log in which nothing comes would hold the other up. An order mark
moves the order clock, and no clock of event time: nothing closes by it, and no record becomes late. It has a
null value and the header `headrace.order_ms`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HEADER = "headrace.order_ms"
_TIME = re.compile(rb"-?[0-9]{1,15}")


def order_headers(order_ms: int) -> list[tuple[str, bytes]]:
    """Return the headers of an order mark.

    Examples
    --------
    >>> read_order(order_headers(1_000))
    1000
    """
    return [(HEADER, str(order_ms).encode())]


def read_order(headers: Iterable[tuple[str, bytes | None]] | None) -> int | None:
    """Return the order clock of the mark with some headers, or None when they are not those of one.

    Examples
    --------
    >>> read_order([("headrace.order_ms", b"soon")])
    """
    for name, value in headers or ():
        if name == HEADER and value is not None and _TIME.fullmatch(value):
            return int(value)
    return None
