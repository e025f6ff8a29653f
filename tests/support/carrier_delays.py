"""Rows of the view `carrier_delays`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from headrace.streams.sinks import OnlineRows

START = datetime(2013, 1, 1, 12, tzinfo=UTC)


def at_ms(minutes: int) -> int:
    return int((START + timedelta(minutes=minutes)).timestamp() * 1000)


def delays(minutes: int, offset: int, **carriers: tuple[int, float | None, int]) -> OnlineRows:
    """Rows of `carrier_delays`: n_1h, mean_1h, seats_max_1d by carrier."""
    columns = list(zip(*carriers.values(), strict=True))
    valid = [np.array([value is not None for value in column]) for column in columns]
    values = [
        np.array(columns[0], np.int64),
        np.array([value or 0.0 for value in columns[1]], np.float64),
        np.array(columns[2], np.int64),
    ]
    keys = np.array([name.encode() for name in carriers])
    return OnlineRows(
        "carrier_delays", (keys,), tuple(zip(values, valid, strict=True)), 3, offset, at_ms(minutes)
    )
