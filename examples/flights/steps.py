"""The steps of a replay: the events of a quarter of an hour, and the requests at its end."""

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
    """One step of a replay.

    Events of ``[start_ms, now_ms)`` come first, then the requests of ``[now_ms, now_ms + STEP_MS)``, so that
    no prediction knows an event from after its own time.

    Attributes
    ----------
    has_requests
        Whether there are requests in the step.
    ends_hour
        Whether the step is the first of its hour of event time, so that the hour before is over.
    hour_has_requests
        Whether there are requests in the step or a later one of the same hour.
    """

    start_ms: int
    now_ms: int
    has_requests: bool
    ends_hour: bool
    hour_has_requests: bool


def steps(events: Sequence[NDArray[np.int64]], requests: NDArray[np.int64]) -> Iterator[Step]:
    """Yield the steps that have events or requests.

    Parameters
    ----------
    events
        Event times of each topic, epoch milliseconds, ascending.
    requests
        Times of the prediction requests, ascending.
    """
    requested = np.unique(requests // STEP_MS)
    happened = np.unique(np.concatenate([times // STEP_MS + 1 for times in events]))
    ticks = np.union1d(requested, happened) * STEP_MS
    starts = np.concatenate(([0], ticks[:-1]))
    hours = ticks // HOUR_MS
    first_of_hour = np.concatenate(([True], np.diff(hours) > 0))
    with_requests = np.isin(ticks // STEP_MS, requested)
    hours_with_requests = np.isin(hours, hours[with_requests])
    columns = (starts, ticks, with_requests, first_of_hour, hours_with_requests)
    for start, now, has_requests, ends_hour, hour_has_requests in zip(*columns, strict=True):
        yield Step(int(start), int(now), bool(has_requests), bool(ends_hour), bool(hour_has_requests))


@dataclass(frozen=True)
class Period:
    """The flights of a span of time, with all events and requests of theirs."""

    departures: pd.DataFrame
    arrivals: pd.DataFrame
    weather: pd.DataFrame
    requests: pd.DataFrame

    @classmethod
    def of(cls, tables: dict[str, pd.DataFrame], until_ms: int) -> Period:
        """Select the flights whose prediction is requested before `until_ms`, epoch milliseconds."""
        requests = tables["requests"]
        requests = requests[requests["ts_ms"] < until_ms]
        flights = set(requests["flight_id"])
        kept = {
            name: tables[name][tables[name]["flight_id"].isin(flights)] for name in ("departures", "arrivals")
        }
        weather = tables["weather"]
        return cls(**kept, weather=weather[weather["event_ms"] < until_ms], requests=requests)
