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

from featurestore.dataset import as_of_event_time, as_served, join_keys_of, read_entities, router_of
from featurestore.feature_log import ParquetFeatureLog
from featurestore.repository import compile_features, register
from schemas.errors import HeadraceError
from schemas.plan import Plan
from schemas.router_specs import LearnerSpec
from streams.archive import predictions_table
from tests.featurestore.conftest import ON_DEMAND
from tests.featurestore.test_feature_log import START, delays
from tests.streams.join_builders import a_prediction, a_router

CARRIERS = ("UA", "AA", "é")
FEATURES = ["carrier_delays__n_1h", "carrier_delays__mean_1h", "carrier_delays__seats_max_1d"]


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


@settings(
    deadline=None,
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
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
    served_by = a_router(1, arms=("a",), champion="a", unit="carrier", entities=("carrier",))
    plan = plan.model_copy(update={"learners": (learner,), "routers": (served_by,)})
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


def test_a_service_with_an_on_demand_view_is_refused(repo: Path, tmp_path: Path) -> None:
    with (repo / "features.py").open("a") as file:
        file.write(ON_DEMAND)
    plan = compile_features(repo).plan()
    asked = pa.table({"carrier": ["UA"], "event_timestamp": [START]})
    for refused in (
        lambda: join_keys_of(plan, "computed"),
        lambda: as_of_event_time(plan, "computed", asked, tmp_path),
    ):
        with pytest.raises(
            HeadraceError, match="has on-demand view 'shares', which is not computed for training sets"
        ):
            refused()
