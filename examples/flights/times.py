"""Local times of airports as epoch milliseconds, whole columns at once."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
ORIGIN_ZONE = "America/New_York"


@dataclass(frozen=True)
class LocalTimes:
    """Local times read in their zones.

    Attributes
    ----------
    utc_ms
        Epoch milliseconds, shape (n,), int64. A time that happens twice is taken as the first one, a time
        that is skipped as the end of the skip.
    ambiguous, nonexistent
        Bool, shape (n,): the local times that happen twice, and those that are skipped.
    """

    utc_ms: pd.Series
    ambiguous: pd.Series
    nonexistent: pd.Series


def clock(date: pd.Series, hhmm: pd.Series) -> pd.Series:
    """Return the naive local time of a date and a clock reading such as 1745; 2400 is the end of the day."""
    return date + pd.to_timedelta(hhmm // 100 * 60 + hhmm % 100, unit="min")


def from_local(local: pd.Series, zones: pd.Series) -> LocalTimes:
    """Convert naive local times of zones (IANA names), with daylight saving time."""
    by_zone = [_in_zone(times, str(zone)) for zone, times in local.groupby(zones)]
    utc_ms, ambiguous, nonexistent = (
        pd.concat(column).reindex(local.index) for column in zip(*by_zone, strict=True)
    )
    return LocalTimes(utc_ms, ambiguous, nonexistent)


def _in_zone(local: pd.Series, zone: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    first = pd.Series(True, index=local.index)
    times = local.dt.tz_localize(zone, ambiguous=first.to_numpy(), nonexistent="shift_forward")
    is_ambiguous = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna()
    is_nonexistent = local.dt.tz_localize(zone, ambiguous=first.to_numpy(), nonexistent="NaT").isna()
    return epoch_ms(times), is_ambiguous, is_nonexistent


def epoch_ms(times: pd.Series) -> pd.Series:
    """Convert aware times to epoch milliseconds."""
    return times.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ms]").astype("int64")


def to_local(utc_ms: pd.Series, zones: pd.Series) -> pd.Series:
    """Convert epoch milliseconds (nulls allowed) to naive local times in their zones."""
    utc = pd.to_datetime(utc_ms, unit="ms", utc=True)
    by_zone = [times.dt.tz_convert(str(zone)).dt.tz_localize(None) for zone, times in utc.groupby(zones)]
    return pd.concat(by_zone).reindex(utc_ms.index)
