"""Feast's historical retrieval with this store gives every row that was asked for, in order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore

from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from tests.support.carrier_delays import START, delays

NAMES = ["carrier_delays:n_1h", "airlines:fleet"]


@pytest.fixture
def store(repo: Path, computed: Plan) -> FeatureStore:
    log = ParquetFeatureLog(repo / "data" / "log", computed)
    for minute, number in ((0, 1), (60, 2)):
        log.append(delays(minute, number, UA=(number, 5.0, 180)))
    log.flush()
    register(repo)
    return FeatureStore(repo_path=str(repo))


def asked(*rows: tuple[str, int]) -> pd.DataFrame:
    times = [START + timedelta(minutes=minute) for _, minute in rows]
    carriers = [carrier for carrier, _ in rows]
    return pd.DataFrame({"carrier": carriers, "event_timestamp": times, "label": range(len(rows))})


def test_rows_that_come_twice_or_find_nothing_young_enough_are_there(store: FeatureStore) -> None:
    rows = asked(("UA", 60), ("UA", 60), ("UA", 59), ("UA", 60 + 24 * 60), ("UA", 61 + 24 * 60), ("ZZ", 60))
    found = store.get_historical_features(rows, NAMES).to_df()
    assert found["label"].tolist() == [0, 1, 2, 3, 4, 5]
    counts = found["n_1h"].astype(object).where(found["n_1h"].notna(), None)
    assert counts.tolist() == [2, 2, 1, 2, None, None]  # the ttl is a day


def test_names_are_full_where_that_is_asked(store: FeatureStore) -> None:
    found = store.get_historical_features(asked(("UA", 60)), NAMES, full_feature_names=True)
    assert found.to_df().columns.tolist()[-2:] == ["carrier_delays__n_1h", "airlines__fleet"]
    metadata = found.metadata
    assert (metadata.features, metadata.keys) == (NAMES, ["carrier", "label"])
    assert metadata.min_event_timestamp == metadata.max_event_timestamp == START + timedelta(minutes=60)


def test_entities_without_times_are_refused(store: FeatureStore) -> None:
    with pytest.raises(HeadraceError, match=r"no column 'event_timestamp' \(found: carrier\)"):
        store.get_historical_features(pd.DataFrame({"carrier": ["UA"]}), NAMES)
