"""The table of ``docs/reference/feast.md``, row by row, with the Feast that is installed."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.online.retrieval import Retrieval
from headrace.schemas.errors import HeadraceError
from tests.support.carrier_repository import AIRLINES
from tests.support.edits import Append, Replace, objection, refusal
from tests.support.feast_online import point_to

LOGGED = """
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination

logged = FeatureService(
    name="logged",
    features=[airlines],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="data/logs"), sample_rate=0.5),
)
"""


@pytest.fixture
def configure(repo: Path) -> Any:
    """Write more of the configuration, or replace the line that names the registry."""
    file = repo / "feature_store.yaml"

    def change(text: str) -> None:
        before = file.read_text()
        if text.startswith("registry:"):
            file.write_text(before.replace("registry: data/registry.db\n", text))
        else:
            file.write_text(before + text)

    return change


def feast(repo: Path) -> FeatureStore:
    return FeatureStore(repo_path=str(repo))


# Versions of views.


@pytest.mark.parametrize("version", ["v2", "version3"])
def test_a_version_of_a_view_is_left_out_with_what_reads_it(repo: Path, append: Append, version: str) -> None:
    append(f"airlines.version = '{version}'\n")
    left_out = {reason.name: reason.problem for reason in compile_features(repo).left_out}
    assert left_out["feature view 'airlines'"] == f"it has version='{version}', which is not served"
    assert "it reads feature view 'airlines'" in left_out["feature service 'delays'"]


@pytest.mark.parametrize("version", ["latest", "LATEST", ""])
def test_the_latest_version_runs_however_it_is_written(repo: Path, append: Append, version: str) -> None:
    append(f"airlines.version = '{version}'\n")
    assert compile_features(repo).left_out == ()


def test_the_latest_version_in_a_text_is_the_view(repo: Path, append: Append) -> None:
    append("new = FeatureService(name='new', features=['airlines@latest:fleet', 'carrier_delays@Latest'])\n")
    plan = compile_features(repo).plan()
    names = [
        "airlines__fleet",
        *(f"carrier_delays__{f.name}" for f in plan.stream_view("carrier_delays").features),
    ]
    assert [ref.full_name for ref in plan.service("new").features] == names
    assert Retrieval(plan, ["airlines@latest:fleet"]).join_keys == ["carrier"]
    with pytest.raises(HeadraceError, match="asks for version 'v2' of view 'airlines', and a plan has one"):
        Retrieval(plan, ["airlines@v2:fleet"])


@pytest.mark.parametrize(
    "features",
    ["['airlines@v2:fleet']", "['airlines@v2']", "[airlines.with_projection(pinned)]"],
)
def test_a_service_that_pins_a_version_is_left_out(repo: Path, append: Append, features: str) -> None:
    append("import copy\npinned = copy.copy(airlines.projection)\npinned.version_tag = 2\n")
    append(f"old = FeatureService(name='old', features={features})\n")
    error = objection(repo)
    assert error.name == "feature service 'old'"
    assert "it pins" in error.problem


def test_each_change_of_a_view_is_a_version_in_the_registry_as_with_feast_apply(
    repo: Path, replace: Replace
) -> None:
    register(repo)
    replace('        Field(name="fleet", dtype=Int32),\n', "")
    replace('airlines[["fleet", "full_name"]]', 'airlines[["full_name"]]')
    register(repo)
    store = feast(repo)
    versions = store.registry.list_feature_view_versions("airlines", store.project)
    assert [version["version"] for version in versions] == ["v0", "v1"]
    assert compile_features(repo).left_out == ()


def test_feasts_client_is_told_the_version_of_rows_that_are_written_here(
    repo: Path, redis_url: str, replace: Replace
) -> None:
    point_to(redis_url, repo)
    pq.write_table(pa.table(AIRLINES), repo / "data" / "airlines.parquet")
    register(repo)
    replace('        Field(name="share", dtype=Float32),\n', "")
    register(repo)
    plan = compile_features(repo).plan()
    materialize(repo, plan, redis_url)
    response = feast(repo).get_online_features(
        ["airlines:full_name"], [{"carrier": "AA"}], include_feature_view_version_metadata=True
    )
    told = [(view.name, view.version) for view in response.proto.metadata.feature_view_metadata]
    assert told == [("airlines", 1)]
    assert response.to_dict()["full_name"] == ["American é"]


def test_rows_under_names_of_versions_are_refused(repo: Path, configure: Any) -> None:
    configure("registry:\n  path: data/registry.db\n  enable_online_feature_view_versioning: true\n")
    assert "enable_online_feature_view_versioning is true" in str(refusal(repo))


# Registries.


def test_a_registry_in_sql_is_written_and_read(repo: Path, configure: Any, tmp_path: Path) -> None:
    configure(f"registry:\n  registry_type: sql\n  path: sqlite:///{tmp_path}/registry.db\n")
    assert compile_features(repo).left_out == ()
    for _ in range(2):
        register(repo)
    store = feast(repo)
    assert type(store.registry).__name__ == "SqlRegistry"
    assert {view.name for view in store.list_all_feature_views()} == {"airlines", "carrier_delays"}
    assert [service.name for service in store.list_feature_services()] == ["delays"]


@pytest.mark.parametrize(
    "registry",
    ["{registry_type: remote, path: 'localhost:1'}", "{registry_type: clay, path: tablet}"],
    ids=["the registry server, without grpc", "a type that there is not"],
)
def test_a_registry_that_feast_cannot_use_is_told_by_plan(repo: Path, configure: Any, registry: str) -> None:
    configure(f"registry: {registry}\n")
    assert "its registry cannot be used" in str(refusal(repo))


# Services.


def test_how_a_service_is_logged_is_passed_to_the_registry(repo: Path, append: Append) -> None:
    append(LOGGED)
    assert "logged" in {service.name for service in compile_features(repo).services}
    register(repo)
    config = feast(repo).get_feature_service("logged").logging_config
    assert config is not None
    assert (config.sample_rate, config.destination.path) == (0.5, "data/logs")


def test_a_service_of_precomputed_vectors_is_read_from_rows(repo: Path, append: Append) -> None:
    append("whole = FeatureService(name='whole', features=[airlines], precompute_online=True)\n")
    assert "whole" in {service.name for service in compile_features(repo).services}
    register(repo)
    assert not feast(repo).get_feature_service("whole").precompute_online


def test_a_disabled_view_is_left_out_with_what_reads_it(repo: Path, append: Append) -> None:
    append("airlines.enabled = False\n")
    left_out = {reason.name: reason.problem for reason in compile_features(repo).left_out}
    assert "it has enabled=False" in left_out["feature view 'airlines'"]
    assert "it reads feature view 'airlines'" in left_out["feature service 'delays'"]


# Hooks.


class Recorder:
    """Takes what Feast tells of an `apply`."""

    def __init__(self) -> None:
        self.named: set[str] = set()

    def emit_apply(self, objects: list[Any], project: str) -> None:
        self.named |= {each.name for each in objects}

    def log_apply(self, changed_objects: list[Any], transition_types: Any) -> None:
        self.named |= {each.name for each in changed_objects}


@pytest.mark.parametrize(
    "hook",
    [
        "openlineage:\n  enabled: true\n  transport_type: console\n",
        "mlflow:\n  enabled: true\n  log_operations: true\n",
    ],
    ids=["OpenLineage", "MLflow"],
)
def test_a_hook_whose_library_is_not_there_changes_nothing(repo: Path, configure: Any, hook: str) -> None:
    configure(hook)
    assert compile_features(repo).left_out == ()
    register(repo)
    assert {view.name for view in feast(repo).list_all_feature_views()} == {"airlines", "carrier_delays"}


@pytest.mark.parametrize(
    ("hook", "maker"),
    [
        ("mlflow:\n  enabled: true\n  log_operations: true\n", "_init_mlflow"),
        ("openlineage:\n  enabled: true\n", "_init_openlineage_emitter"),
    ],
    ids=["MLflow", "OpenLineage"],
)
def test_what_is_registered_is_told_to_the_hook(
    repo: Path, configure: Any, monkeypatch: pytest.MonkeyPatch, hook: str, maker: str
) -> None:
    """Feast calls it; the recorder stands where the libraries would be, which are not installed."""
    configure(hook)
    recorder = Recorder()
    remote = ModuleType("feast.infra.registry.remote")
    remote.RemoteRegistry = type("RemoteRegistry", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, remote.__name__, remote)
    monkeypatch.setattr(FeatureStore, maker, lambda store: recorder)
    register(repo)
    assert {"airlines", "carrier_delays", "delays"} <= recorder.named


def test_the_page_is_of_the_feast_that_is_installed() -> None:
    major, minor, *_ = version("feast").split(".")
    page = Path(__file__).parents[3] / "docs" / "reference" / "feast.md"
    assert f"with Feast {major}.{minor}." in page.read_text()
