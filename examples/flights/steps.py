"""The steps of a replay: what becomes known in a quarter of an hour, and what is asked at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.flights.times import HOUR_MS, MINUTE_MS

STEP_MS = 15 * MINUTE_MS


@dataclass(frozen=True)
class Step:
    """Events of ``[start_ms, now_ms)`` come first; then the predictions of ``[now_ms, now_ms + STEP_MS)`` are
    asked for, so that an answer knows nothing from after its own time."""

    start_ms: int
    now_ms: int
    has_requests: bool
    ends_hour: bool
    hour_is_asked: bool  # in this step, or in a later one of the same hour


def steps(events: Sequence[NDArray[np.int64]], requests: NDArray[np.int64]) -> Iterator[Step]:
    """Steps in which something happens or is asked; those in between are passed over.

    A step ends an hour when none of the steps before it in that hour of event time did.

    Parameters
    ----------
    events
        Event times of each topic, epoch milliseconds, ascending.
    requests
        Times of the prediction requests, ascending.
    """
    asked = np.unique(requests // STEP_MS)
    happened = np.unique(np.concatenate([times // STEP_MS + 1 for times in events]))
    ticks = np.union1d(asked, happened) * STEP_MS
    starts = np.concatenate(([0], ticks[:-1]))
    hours = ticks // HOUR_MS
    first_of_hour = np.concatenate(([True], np.diff(hours) > 0))
    questions = np.isin(ticks // STEP_MS, asked)
    asked_hours = np.isin(hours, hours[questions])
    columns = (starts, ticks, questions, first_of_hour, asked_hours)
    for start, now, has_requests, ends_hour, is_asked in zip(*columns, strict=True):
        yield Step(int(start), int(now), bool(has_requests), bool(ends_hour), bool(is_asked))


@dataclass(frozen=True)
class Period:
    """The flights scheduled in a span of time, with everything that happens to them."""

    departures: pd.DataFrame
    arrivals: pd.DataFrame
    weather: pd.DataFrame
    requests: pd.DataFrame

    @classmethod
    def of(cls, tables: dict[str, pd.DataFrame], until_ms: int) -> Period:
        """Flights whose prediction is asked for before `until_ms`, epoch milliseconds."""
        requests = tables["requests"]
        requests = requests[requests["ts_ms"] < until_ms]
        flights = set(requests["flight_id"])
        kept = {
            name: tables[name][tables[name]["flight_id"].isin(flights)] for name in ("departures", "arrivals")
        }
        weather = tables["weather"]
        return cls(**kept, weather=weather[weather["event_ms"] < until_ms], requests=requests)
