"""Local clock times of airports as epoch milliseconds, whole columns at once."""

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
        Epoch milliseconds, shape (n,), int64. An hour that happens twice is read as the first one, an hour
        that is skipped as the moment after the skip.
    ambiguous, nonexistent
        Bool, shape (n,): the local times for which that had to be decided.
    """

    utc_ms: pd.Series
    ambiguous: pd.Series
    nonexistent: pd.Series


def clock(date: pd.Series, hhmm: pd.Series) -> pd.Series:
    """Naive local time of a date and a clock reading such as 1745 (2400 is the end of the day)."""
    return date + pd.to_timedelta(hhmm // 100 * 60 + hhmm % 100, unit="min")


def from_local(local: pd.Series, zones: pd.Series) -> LocalTimes:
    """Read naive local times in their zones (IANA names), with daylight saving time."""
    parts = [_in_zone(part, str(zone)) for zone, part in local.groupby(zones)]
    utc_ms, ambiguous, nonexistent = (
        pd.concat(column).reindex(local.index) for column in zip(*parts, strict=True)
    )
    return LocalTimes(utc_ms, ambiguous, nonexistent)


def _in_zone(local: pd.Series, zone: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    first = pd.Series(True, index=local.index)
    times = local.dt.tz_localize(zone, ambiguous=first.to_numpy(), nonexistent="shift_forward")
    is_ambiguous = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna()
    is_nonexistent = local.dt.tz_localize(zone, ambiguous=first.to_numpy(), nonexistent="NaT").isna()
    return epoch_ms(times), is_ambiguous, is_nonexistent


def epoch_ms(times: pd.Series) -> pd.Series:
    """Aware times as epoch milliseconds."""
    return times.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ms]").astype("int64")


def to_local(utc_ms: pd.Series, zones: pd.Series) -> pd.Series:
    """Epoch milliseconds (nulls allowed) as naive local times in their zones."""
    utc = pd.to_datetime(utc_ms, unit="ms", utc=True)
    parts = [part.dt.tz_convert(str(zone)).dt.tz_localize(None) for zone, part in utc.groupby(zones)]
    return pd.concat(parts).reindex(utc_ms.index)
