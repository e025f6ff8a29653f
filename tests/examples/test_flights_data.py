"""The tables: complete, counted, and honest about when things are known."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from examples.flights import data, tables
from examples.flights.data import Dataset
from examples.flights.events import rows
from examples.flights.times import HOUR_MS
from headrace.featurestore.compile.features import compile_features
from headrace.learners.project import load_project
from headrace.schemas.avro import AvroDecoder, Column
from headrace.streams.producers.event_encoder import EventEncoder
from headrace.streams.producers.event_format import EventFormat

ACTUALS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def test_counts_are_those_of_the_year(dataset: Dataset) -> None:
    quality = dataset.quality
    assert quality["flights"] == len(dataset["requests"]) == 336_776
    assert quality["without_departure"] == 336_776 - len(dataset["departures"]) == 8_255
    assert quality["without_arrival_delay"] == 336_776 - len(dataset["arrivals"]) == 9_430
    assert quality["ambiguous_or_skipped_local_times"] == 0
    assert quality["departure_clock_disagrees"] == 0
    assert quality["arrival_clock_disagrees"] == 1


def test_a_quarter_of_the_labelled_flights_is_delayed(dataset: Dataset) -> None:
    arrivals = dataset["arrivals"]
    assert arrivals["delayed"].mean() == pytest.approx(0.245, abs=0.001)
    assert ((arrivals["arr_delay"] >= 15) == (arrivals["delayed"] == 1)).all()


@pytest.mark.parametrize("name", ["departures", "arrivals", "weather"])
def test_events_are_in_event_time_order(dataset: Dataset, name: str) -> None:
    assert dataset[name]["event_ms"].is_monotonic_increasing


@pytest.mark.parametrize("name", ["departures", "arrivals", "requests"])
def test_flight_ids_are_unique(dataset: Dataset, name: str) -> None:
    assert dataset[name]["flight_id"].is_unique


def test_every_flight_is_asked_about_one_hour_before_its_schedule(
    dataset: Dataset, timeline: pd.DataFrame
) -> None:
    requests = dataset["requests"].set_index("flight_id")
    scheduled = timeline["sched_dep_ms"].reindex(requests.index)
    assert (requests["ts_ms"] == scheduled - HOUR_MS).all()


def test_requests_know_nothing_of_what_happened(raw: tables.Raw, dataset: Dataset) -> None:
    """Had every flight gone differently, the same would be asked."""
    other = raw["flights"].copy()
    order = np.random.default_rng(1).permutation(len(other))
    other[ACTUALS] = other[ACTUALS].to_numpy()[order]
    asked = tables.requests(tables.build_timeline({**raw, "flights": other}).flights)
    assert_frame_equal(asked, dataset["requests"])


def test_every_label_comes_after_its_question_and_within_the_wait(dataset: Dataset, repository: Path) -> None:
    asked = dataset["requests"].set_index("flight_id")["ts_ms"]
    arrivals = dataset["arrivals"]
    waited = arrivals["event_ms"].to_numpy() - asked.reindex(arrivals["flight_id"]).to_numpy()
    wait = load_project(repository).routers[0].wait
    assert 0 < waited.min() <= waited.max() < wait / timedelta(milliseconds=1)


@pytest.mark.parametrize("name", ["departures", "arrivals", "weather"])
def test_events_survive_their_schema(dataset: Dataset, repository: Path, name: str) -> None:
    source = next(s for s in compile_features(repository).sources if s.name == name)
    table = dataset[name].iloc[:500]
    events = EventEncoder(EventFormat.of_source(source)).encode_batch(rows(table))
    fields = list(table.columns)
    decoder = AvroDecoder(source.reader_schema, source.writer_schemas, fields)
    columns = decoder.decode([event.value for event in events]).columns
    for row, event in enumerate(events):
        assert event.timestamp_ms == table["event_ms"].iloc[row]
        assert event.key.decode() == table[source.key_field].iloc[row]
    for field in fields:
        assert plain(columns[field]) == [row[field] for row in rows(table)]


def plain(column: Column) -> list[object]:
    values = [v.decode() if isinstance(v, bytes) else v for v in column.values.tolist()]
    return [value if valid else None for value, valid in zip(values, column.valid, strict=True)]


def test_the_cache_gives_back_what_was_built(tmp_path: Path, dataset: Dataset) -> None:
    small = Dataset({name: table.head(50) for name, table in dataset.tables.items()}, dataset.quality)
    data.write(small, tmp_path)
    again = data.load(tmp_path)
    assert again.quality == small.quality
    for name in data.TABLES:
        assert_frame_equal(again[name], small[name].reset_index(drop=True))
