"""`apply` is made to fail at every call to Kafka, Redis and Feast's registry, one after another."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from headrace.deploy.commands.apply import apply_plan
from headrace.deploy.settings import Settings, load_settings
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from tests.support.carrier_repository import AIRLINES, DEFINITIONS
from tests.support.failing_steps import FailingSteps
from tests.support.repository_config import repository_config

# What the second plan takes away, and what it adds.
GONE = """
fleets = FeatureView(
    name="fleets",
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name="fleet", dtype=Int32)],
    source=FileSource(name="fleets_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
"""
NEW = """
arrivals = KafkaSource(
    name="arrivals",
    topic="TOPIC",
    timestamp_field="departed_at",
    message_format=AvroFormat(json.dumps(EVENT)),
    batch_source=FileSource(name="arrivals_log", path="data/log/arrivals", timestamp_field="event_timestamp"),
    tags={"headrace.key": "carrier"},
)
carrier_arrivals = StreamFeatureView(
    name="carrier_arrivals",
    entities=[carrier],
    source=arrivals,
    timestamp_field="departed_at",
    schema=[Field(name="carrier", dtype=String), Field(name="arrivals_1h", dtype=Int64)],
    aggregations=[
        Aggregation(column="flight", function="count", time_window=timedelta(hours=1), name="arrivals_1h")
    ],
)
seats = FeatureService(name="seats", features=[carrier_delays[["seats_max_1d"]]])
"""
ASKED = ["airlines:fleet", "fleets:fleet"]
VALUES = {"airlines__fleet": [3, 2], "fleets__fleet": [3, 2]}


class Scene:
    """A project whose plan is applied and served, and a change of it."""

    def __init__(self, folder: Path, project: str, kafka: str, redis_url: str) -> None:
        (folder / "data").mkdir()
        pq.write_table(pa.table(AIRLINES), folder / "data" / "airlines.parquet")
        (folder / "feature_store.yaml").write_text(repository_config(project))
        self.folder, self.project, self.redis_url = folder, project, redis_url
        self.settings: Settings = load_settings(folder, kafka=kafka, redis=redis_url)
        self.after = self.write(NEW)
        self.before = self.write(GONE)
        self.begin()

    def write(self, more: str) -> Plan:
        text = DEFINITIONS.replace('topic="flights.departures"', f'topic="{self.project}.departures"')
        (self.folder / "features.py").write_text(text + more.replace("TOPIC", f"{self.project}.arrivals"))
        return compile_features(self.folder).plan()

    def begin(self) -> None:
        """Apply and serve the first plan, and write the second into the repository."""
        self.write(GONE)
        apply_plan(self.settings, self.before)
        materialize(self.folder, self.before, self.redis_url)
        self.write(NEW)

    def apply(self) -> None:
        apply_plan(self.settings, self.after)

    def in_force(self) -> Plan:
        return PlanStore(self.redis_url, self.project).load()

    def registered(self) -> tuple[list[str], list[str]]:
        store = FeatureStore(repo_path=str(self.folder))
        views, services = store.list_batch_feature_views(), store.list_feature_services()
        return sorted(view.name for view in views), sorted(service.name for service in services)

    def check_as_before(self, step: str) -> None:
        assert self.in_force() == self.before, step
        with FeatureClient(self.in_force(), self.redis_url) as client:
            assert client.get_online_features(ASKED, {"carrier": ["UA", "AA"]}).columns == VALUES, step
        assert self.registered() == (["airlines", "fleets"], ["delays"]), step

    def check_applied(self, step: str) -> None:
        assert self.in_force() == self.after, step
        assert self.registered() == (["airlines"], ["delays", "seats"]), step
        with FeatureClient(self.before, self.redis_url) as client:
            found = client.get_online_features(ASKED, {"carrier": ["UA", "AA"]}).columns
        assert found == {"airlines__fleet": [3, 2], "fleets__fleet": [None, None]}, step


def fail_every_step(scene: Scene, steps: FailingSteps, stays_away: bool) -> None:
    """Apply with another step that fails, until there is none left."""
    late = 0
    while True:
        error = steps.run(scene.apply, stays_away)
        step = f"{steps.failed}: {error}"
        if steps.failed is None:
            break
        if error is None or "is in force" in str(error):
            assert scene.in_force() == scene.after, step
            late += error is not None
            scene.apply()
            scene.check_applied(step)
            scene.begin()
        else:
            assert isinstance(error, HeadraceError), step
            scene.check_as_before(step)
    scene.check_applied("all were tried")
    assert late, "deletions can fail after the moment"


def test_an_apply_that_cannot_write_leaves_all_as_it_was_or_is_completed_by_another(
    tmp_path: Path, project: str, kafka_bootstrap: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, project, kafka_bootstrap, redis_url)
    steps = FailingSteps(monkeypatch, ["Redis", "Pipeline", "update_registry_proto", "create_"])
    fail_every_step(scene, steps, stays_away=False)
    assert len({step.split()[0] for step in steps.tried}) == 4


@pytest.mark.faults
@pytest.mark.parametrize("stays_away", [False, True], ids=["once", "from then on"])
def test_an_apply_that_fails_anywhere_leaves_all_as_it_was_or_is_completed_by_another(
    tmp_path: Path,
    project: str,
    kafka_bootstrap: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    stays_away: bool,
) -> None:
    scene = Scene(tmp_path, project, kafka_bootstrap, redis_url)
    steps = FailingSteps(monkeypatch)
    fail_every_step(scene, steps, stays_away)
    owners = {step.split(".")[0] for step in steps.tried}
    assert owners == {"AdminClient", "Redis", "Pipeline", "FileRegistryStore"}
