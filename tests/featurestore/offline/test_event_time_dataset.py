"""Training sets as of event time are equal to what Feast retrieves."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.entities import join_keys_of, read_entities, request_fields_of
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from tests.support.carrier_delays import START, delays
from tests.support.properties import tries

CARRIERS = ("UA", "AA", "é")


def by_entity(table: pd.DataFrame, columns: list[str]) -> dict[tuple, list]:
    """Values by carrier and time; NaN as None."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {(row["carrier"], row["event_timestamp"]): [row[name] for name in columns] for row in rows}


moments = st.integers(0, 3000)  # minutes: twice the ttl
values = st.tuples(st.integers(0, 9), st.one_of(st.none(), st.floats(-99, 99)), st.integers(0, 400))


@settings(tries(12, HealthCheck.function_scoped_fixture), phases=[Phase.explicit, Phase.generate])
@given(
    logged=st.dictionaries(st.tuples(st.sampled_from(CARRIERS), moments), values, max_size=30),
    asked=st.sets(st.tuples(st.sampled_from(CARRIERS), moments), min_size=1, max_size=15),
)
def test_as_of_event_time_is_what_feast_retrieves(repo, plan, logged, asked):
    for carrier, minute in asked:  # Feast fails over entities that have no row at all
        logged.setdefault((carrier, minute // 2 * 3), (minute, None, 1))
    shutil.rmtree(repo / "data" / "log", ignore_errors=True)
    log = ParquetFeatureLog(repo / "data" / "log", plan)
    for offset, ((carrier, minute), row) in enumerate(sorted(logged.items(), key=lambda item: item[0][1])):
        log.append(delays(minute, offset, **{carrier: row}))
        if offset % 7 == 0:
            log.flush()
    log.flush()
    rows = pd.DataFrame(
        [(carrier, START + timedelta(minutes=minute)) for carrier, minute in sorted(asked)],
        columns=["carrier", "event_timestamp"],
    )
    entities = pa.Table.from_pandas(rows)
    found = as_of_event_time(plan, "delays", entities, repo / "data" / "log", repo).to_pandas()
    pd.testing.assert_frame_equal(found[["carrier", "event_timestamp"]], rows, check_dtype=False)
    if not (repo / "data" / "registry.db").exists():
        register(repo)
    store = FeatureStore(repo_path=str(repo))
    for names in ([f"carrier_delays:{n}" for n in ("n_1h", "mean_1h", "seats_max_1d")], ["airlines:fleet"]):
        columns = [name.replace(":", "__") for name in names]
        theirs = store.get_historical_features(rows, names, full_feature_names=True).to_df()
        ours, theirs = by_entity(found, columns), by_entity(theirs, columns)
        assert len(ours) == len(asked)
        left_out = ours.keys() - theirs.keys()  # by Feast, whose match is too old or later
        assert ours == theirs | dict.fromkeys(left_out, [None] * len(columns))


def a_log(repo: Path, plan: Plan) -> Path:
    log = ParquetFeatureLog(repo / "data" / "log", plan)
    for offset, (carrier, minute, mean) in enumerate([("UA", 0, 12.5), ("AA", 20, None), ("UA", 90, 4.0)]):
        log.append(delays(minute, offset, **{carrier: (1, mean, 2)}))
    log.flush()
    return repo / "data" / "log"


def test_on_demand_features_as_of_event_time_are_what_feasts_own_transformation_gives(
    repo: Path, computed: Plan
) -> None:
    folder = a_log(repo, computed)
    rows = pd.DataFrame(
        [("UA", 5, 3), ("UA", 700, 30), ("AA", 30, 9), ("\u00e9", 9, 10), ("ZZ", 9, 1), ("UA", -5, 2)],
        columns=["carrier", "minute", "row"],
    )
    rows["event_timestamp"] = [START + timedelta(minutes=int(minute)) for minute in rows.pop("minute")]
    asked = pa.Table.from_pandas(rows)
    found = as_of_event_time(computed, "computed", asked, folder, repo)
    assert found.column_names == [*asked.column_names, "shares__per_plane", "shares__in_front"]
    assert found["shares__per_plane"].to_pylist() == [12.5, 4.0 / 3, None, None, None, None]
    register(repo)
    store = FeatureStore(repo_path=str(repo))
    job = store.get_historical_features(rows, store.get_feature_service("computed"), full_feature_names=True)
    columns = ["shares__per_plane", "shares__in_front"]
    assert by_entity(found.to_pandas(), columns) == by_entity(job.to_df(), columns)


def test_request_fields_are_columns_of_what_is_asked(repo: Path, computed: Plan, tmp_path: Path) -> None:
    folder = a_log(repo, computed)
    fields = [*join_keys_of(computed, "computed"), *request_fields_of(computed, "computed")]
    assert [field.name for field in fields] == ["carrier", "row"]
    (tmp_path / "e.csv").write_text("carrier,event_timestamp,row\nUA,2013-01-01T12:05:00,9\n")
    asked = read_entities(tmp_path / "e.csv", fields)
    found = as_of_event_time(computed, "computed", asked, folder, repo)
    assert found["shares__in_front"].to_pylist() == [True]
    with pytest.raises(HeadraceError, match="no column 'row', which an on-demand view takes"):
        as_of_event_time(computed, "computed", asked.drop_columns("row"), folder, repo)
    with pytest.raises(HeadraceError, match="name the repository"):
        as_of_event_time(computed, "computed", asked, folder)
    for name in ("shares__per_plane", "airlines__fleet"):
        with pytest.raises(
            HeadraceError, match=f"column '{name}' would come from the entities and from view"
        ):
            as_of_event_time(computed, "computed", asked.append_column(name, pa.array([1])), folder, repo)


def test_without_rows_or_a_repository_the_view_is_named(repo: Path, plan: Plan, tmp_path: Path) -> None:
    asked = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))})
    with pytest.raises(HeadraceError, match=r"'carrier_delays' has no rows .* `headrace backfill`"):
        as_of_event_time(plan, "delays", asked, tmp_path / "none", repo)
    with pytest.raises(HeadraceError, match=r"'delays' has batch views \(airlines\); name the repository"):
        as_of_event_time(plan, "delays", asked, a_log(repo, plan))
