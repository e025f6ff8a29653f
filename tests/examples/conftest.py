from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from examples.flights import data, tables

REPOSITORY = data.HERE / "feature_repo"


@pytest.fixture(scope="session")
def raw() -> tables.Raw:
    return data.read_raw()


@pytest.fixture(scope="session")
def all_flights(raw: tables.Raw) -> tables.Timeline:
    return tables.build_timeline(raw)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> data.Dataset:
    """Built by the first process that wants it."""
    mine = tmp_path_factory.getbasetemp()
    of_all = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    return data.load(of_all / "flights")


@pytest.fixture(scope="session")
def timeline(all_flights: tables.Timeline) -> pd.DataFrame:
    return all_flights.flights.set_index("flight_id")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
