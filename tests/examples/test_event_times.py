"""Local clock times become moments, in every zone and on the two nights when clocks change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from examples.flights.data import Dataset
from examples.flights.tables import Raw
from examples.flights.times import HOUR_MS, MINUTE_MS, clock, epoch_ms, from_local, to_local


def utc_ms(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp() * 1000)


def read(local: str, zone: str) -> tuple[int, bool, bool]:
    times = from_local(pd.Series([pd.Timestamp(local)]), pd.Series([zone]))
    return int(times.utc_ms[0]), bool(times.ambiguous[0]), bool(times.nonexistent[0])


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        ("2013-01-15 12:00", "America/New_York", "2013-01-15 17:00"),
        ("2013-07-15 12:00", "America/New_York", "2013-07-15 16:00"),
        ("2013-07-15 12:00", "America/Puerto_Rico", "2013-07-15 16:00"),
        ("2013-01-15 12:00", "America/Puerto_Rico", "2013-01-15 16:00"),
        ("2013-07-15 12:00", "America/Phoenix", "2013-07-15 19:00"),
        ("2013-07-15 12:00", "Pacific/Honolulu", "2013-07-15 22:00"),
    ],
)
def test_local_times_follow_their_zone(local: str, zone: str, utc: str) -> None:
    assert read(local, zone) == (utc_ms(utc), False, False)


def test_an_hour_that_happens_twice_is_the_first_one() -> None:
    assert read("2013-11-03 01:30", "America/New_York") == (utc_ms("2013-11-03 05:30"), True, False)


def test_an_hour_that_is_skipped_is_the_moment_after() -> None:
    assert read("2013-03-10 02:30", "America/New_York") == (utc_ms("2013-03-10 07:00"), False, True)


def test_2400_is_the_end_of_the_day() -> None:
    date = pd.Series([pd.Timestamp("2013-05-01")] * 3)
    found = clock(date, pd.Series([5, 1745, 2400]))
    assert list(found.dt.strftime("%d %H:%M")) == ["01 00:05", "01 17:45", "02 00:00"]


def test_rows_keep_their_places_when_zones_are_mixed() -> None:
    hours = pd.Series(pd.date_range("2013-01-01", periods=60, freq="97h"), index=range(100, 160))
    zones = pd.Series(["America/New_York", "America/Denver", "Pacific/Honolulu"] * 20, index=hours.index)
    back = to_local(from_local(hours, zones).utc_ms, zones)
    assert list(back) == list(hours)
    assert list(back.index) == list(hours.index)


@pytest.mark.parametrize(
    ("flight", "departed", "arrived"),
    [
        # 05:15 in New York, 2 minutes late; 08:19 in Houston, an hour behind, 11 minutes late
        ("20130101-UA1545-EWR", "2013-01-01 10:17", "2013-01-01 14:30"),
        # Summer: 08:35 EDT, 9 late; 13:24 in Honolulu, which has no summer time, 37 late
        ("20130701-HA51-JFK", None, None),
    ],
)
def test_known_flights(
    timeline: pd.DataFrame, flight: str, departed: str | None, arrived: str | None
) -> None:
    row = timeline.loc[flight]
    if departed is not None and arrived is not None:
        assert (row["dep_ms"], row["arr_ms"]) == (utc_ms(departed), utc_ms(arrived))
    local = pd.Timestamp(row["arr_ms"], unit="ms", tz="UTC").tz_convert(
        "America/Chicago" if row["dest"] == "IAH" else "Pacific/Honolulu"
    )
    assert local.hour * 100 + local.minute == row["arr_time"]


def test_the_clocks_change_between_two_departures_at_the_same_local_time(timeline: pd.DataFrame) -> None:
    for before, after, hours in (("20130309", "20130310", 23), ("20131102", "20131103", 25)):
        days = [timeline[timeline.index.str.startswith(day)] for day in (before, after)]
        first, second = (day[day["sched_dep_time"] == 1200]["sched_dep_ms"].iloc[0] for day in days)
        assert second - first == hours * HOUR_MS


@pytest.mark.parametrize("airport", ["BQN", "SJU", "STT", "PSE"])
def test_caribbean_flights_take_as_long_in_summer_as_in_winter(timeline: pd.DataFrame, airport: str) -> None:
    there = timeline[timeline["dest"] == airport]
    minutes = (there["sched_arr_ms"] - there["sched_dep_ms"]) / MINUTE_MS
    assert minutes.between(170, 280).all()
    winter = there["month"].isin([1, 2, 12])
    summer = there["month"].isin([6, 7, 8])
    if winter.any() and summer.any():
        assert abs(minutes[winter].median() - minutes[summer].median()) < 20


def test_arrivals_after_midnight_are_on_the_next_day(timeline: pd.DataFrame) -> None:
    overnight = timeline[(timeline["sched_dep_time"] > 2200) & (timeline["sched_arr_time"] < 500)]
    assert len(overnight) > 1000
    minutes = (overnight["sched_arr_ms"] - overnight["sched_dep_ms"]) / MINUTE_MS
    assert minutes.between(30, 400).all()


def test_no_flight_arrives_before_it_has_flown(timeline: pd.DataFrame) -> None:
    landed = timeline[timeline["arr_ms"].notna()]
    taxi = (landed["arr_ms"] - landed["dep_ms"]) / MINUTE_MS - landed["air_time"]
    assert taxi.min() > 0
    assert np.median(taxi) == 28


def test_weather_is_known_when_its_report_was_taken(dataset: Dataset, raw: Raw) -> None:
    hour_ms = epoch_ms(pd.to_datetime(raw["weather"]["time_hour"], utc=True))
    assert sorted(dataset["weather"]["event_ms"]) == sorted(hour_ms + 51 * MINUTE_MS)
