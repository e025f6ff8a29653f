from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from examples.flights import data, tables

REPOSITORY = data.HERE / "feature_repo"


@pytest.fixture(scope="session")
def raw() -> tables.Raw:
    return data.read_raw()


@pytest.fixture(scope="session")
def dataset() -> data.Dataset:
    return data.build()


@pytest.fixture(scope="session")
def timeline(raw: tables.Raw) -> pd.DataFrame:
    return tables.build_timeline(raw).flights.set_index("flight_id")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
