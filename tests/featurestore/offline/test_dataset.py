"""Training sets: equal to what Feast retrieves, and to what was served."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.offline.entities import join_keys_of, read_entities, request_fields_of
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.featurestore.offline.served_dataset import as_served, router_of
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from headrace.streams.join.example_archive import predictions_table
from tests.support.carrier_delays import START, delays
from tests.support.carrier_repository import ON_DEMAND
from tests.support.join_builders import a_prediction, a_router
from tests.support.properties import tries

STORE = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"
CARRIERS = ("UA", "AA", "é")
FEATURES = ["carrier_delays__n_1h", "carrier_delays__mean_1h", "carrier_delays__seats_max_1d"]
SERVED_BY = a_router(1, arms=("a",), champion="a", unit="carrier", entities=("carrier",))


@pytest.fixture
def plan(repo: Path) -> Plan:
    """With a table of airlines of which some rows were valid from later on."""
    times = [START - timedelta(days=90), START, START + timedelta(hours=9), START - timedelta(days=1)]
    table = {
        "carrier": pa.array(["UA", "AA", "UA", "é"]),
        "full_name": pa.array(["United", "American é", "United Air Lines", None]),
        "fleet": pa.array([1, 2, 3, None], pa.int32()),
        "valid_from": pa.array(times, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(table), repo / "data" / "airlines.parquet")
    return compile_features(repo).plan()


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
        assert {key: ours[key] for key in theirs} == theirs
        # Feast leaves out rows whose match is too old or later.
        assert all(set(ours[key]) == {None} for key in ours.keys() - theirs.keys())


def test_entities_come_as_csv_with_or_without_zone_or_as_parquet(tmp_path: Path, plan: Plan) -> None:
    keys = join_keys_of(plan, "delays")
    assert [key.name for key in keys] == ["carrier"]
    (tmp_path / "z.csv").write_text("carrier,event_timestamp,label\n007,2013-01-01T12:00:00Z,1\n")
    (tmp_path / "n.csv").write_text("carrier,event_timestamp,label\n007,2013-01-01 12:00:00,1\n")
    expected = {"carrier": ["007"], "event_timestamp": [START], "label": [1]}
    assert read_entities(tmp_path / "z.csv", keys).to_pydict() == expected
    naive = expected | {"event_timestamp": [START.replace(tzinfo=None)]}
    assert read_entities(tmp_path / "n.csv", keys).to_pydict() == naive
    pq.write_table(read_entities(tmp_path / "z.csv", keys), tmp_path / "e.parquet")
    assert read_entities(tmp_path / "e.parquet", keys).to_pydict() == expected


def test_what_is_missing_is_said(tmp_path: Path, repo: Path, plan: Plan) -> None:
    (tmp_path / "e.csv").write_text("airline,event_timestamp\nUA,2013-01-01T12:00:00Z\n")
    with pytest.raises(HeadraceError, match="there is no column 'carrier'"):
        read_entities(tmp_path / "e.csv", join_keys_of(plan, "delays"))
    asked = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))})
    with pytest.raises(HeadraceError, match=r"'carrier_delays' has no rows .* `headrace backfill`"):
        as_of_event_time(plan, "delays", asked, tmp_path / "none", repo)
    with pytest.raises(HeadraceError, match="which router serves 'delays'"):
        router_of(plan, "delays")


def test_as_served_is_the_vector_of_the_last_prediction_not_what_the_log_knows_by_now(plan: Plan) -> None:
    learner = LearnerSpec(name="a", service="delays", target="late", definition="x")
    plan = plan.model_copy(update={"learners": (learner,), "routers": (SERVED_BY,)})
    router = router_of(plan, "delays")
    at_ms = int(START.timestamp() * 1000)
    predictions = [
        a_prediction(
            f"p{n}",
            f"k{n}",
            at_ms + minute * 60_000,
            entities={"carrier": carrier},
            features={"carrier_delays__n_1h": n, "carrier_delays__mean_1h": None if n else 0.5},
        )
        for n, (carrier, minute) in enumerate([("UA", 0), ("UA", 30), ("AA", 10)])
    ]
    asked = pa.table(
        {
            "carrier": ["UA", "AA", "UA", "UA", "ZZ"],
            "event_timestamp": pa.array(
                [START + timedelta(minutes=m) for m in (29, 10, 30, -1, 99)], pa.timestamp("us", "UTC")
            ),
        }
    )
    for table in (predictions_table(predictions), predictions_table(predictions).slice(0, 0)):
        found = as_served(plan, "delays", asked, router, table)
        assert found.column_names[:5] == [
            *asked.column_names,
            "prediction_id",
            "served_timestamp",
            FEATURES[0],
        ]
        expected = ["p0", "p2", "p1", None, None] if len(table) else [None] * 5
        assert found["prediction_id"].to_pylist() == expected
        assert found["carrier_delays__n_1h"].to_pylist() == (
            [0, 2, 1, None, None] if len(table) else [None] * 5
        )
        assert str(found.schema.field("carrier_delays__mean_1h").type) == "double"
    assert found.num_rows == 5
    assert datetime.fromtimestamp(at_ms / 1000, UTC) == START
    assert np.isnan(found["carrier_delays__mean_1h"].to_pandas()).all()


@pytest.fixture
def computed(repo: Path, plan: Plan) -> Plan:
    """With a service of an on-demand view of a stream view, a table and the request."""
    with (repo / "features.py").open("a") as file:
        file.write(ON_DEMAND)
    yaml = repo / "feature_store.yaml"
    yaml.write_text(yaml.read_text().replace("type: dask", f"type: {STORE}"))
    return compile_features(repo).plan()


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


def test_on_demand_features_as_served_are_those_that_were_logged(computed: Plan) -> None:
    learner = LearnerSpec(name="a", service="computed", target="late", definition="x")
    plan = computed.model_copy(update={"learners": (learner,), "routers": (SERVED_BY,)})
    at_ms = int(START.timestamp() * 1000)
    features = {"shares__per_plane": 7.5, "shares__in_front": True, "carrier_delays__mean_1h": 2.0}
    one = a_prediction("p", "k", at_ms, entities={"carrier": "UA"}, features=features)
    asked = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))})
    table = predictions_table([one])
    found = as_served(plan, "computed", asked, router_of(plan, "computed"), table)
    assert found["shares__per_plane"].to_pylist() == [7.5]  # not what a function makes of anything
    assert found["shares__in_front"].to_pylist() == [True]
    inputs = plan.services[0].model_copy(
        update={"name": "inputs", "features": (FeatureRef(view="carrier_delays", feature="mean_1h"),)}
    )
    plan = plan.model_copy(update={"services": (*plan.services, inputs)})
    found = as_served(plan, "inputs", asked, plan.routers[0], table)
    assert found["carrier_delays__mean_1h"].to_pylist() == [2.0]
