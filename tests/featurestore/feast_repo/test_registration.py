"""What Feast's registry holds after `register`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from feast import FeatureStore

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import Registration, RemovedView, register
from headrace.schemas.errors import DefinitionError, ServiceUnavailable
from tests.support.feast_online import point_to


@pytest.fixture
def reachable(repo: Path, redis_url: str) -> Path:
    """The repository, with an online store that Feast can reach."""
    point_to(redis_url, repo)
    return repo


def test_everything_is_registered_and_may_be_registered_again(
    reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = os.getcwd()
    for _ in range(2):
        register(reachable)
        store = FeatureStore(repo_path=str(reachable))
        assert [view.name for view in store.list_stream_feature_views()] == ["carrier_delays"]
        assert [view.name for view in store.list_batch_feature_views()] == ["airlines"]
        assert [service.name for service in store.list_feature_services()] == ["delays"]
    assert os.getcwd() == here
    assert capsys.readouterr().out == ""


def test_what_is_gone_from_the_files_is_gone_from_the_registry(
    reachable: Path, replace: Callable[[str, str], None]
) -> None:
    register(reachable)
    replace('service = FeatureService(name="delays"', 'service = FeatureService(name="others"')
    register(reachable)
    store = FeatureStore(repo_path=str(reachable))
    assert [service.name for service in store.list_feature_services()] == ["others"]


FLEETS = """
fleets = FeatureView(
    name="fleets",
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name="planes", dtype=Int64)],
    source=FileSource(name="fleets_table", path="data/fleets.parquet", timestamp_field="valid_from"),
)
"""
SQL = "registry: {registry_type: sql, path: 'sqlite:///%s/registry.sqlite'}"


def registered(repo: Path) -> list[str]:
    return sorted(view.name for view in FeatureStore(repo_path=str(repo)).list_batch_feature_views())


@pytest.fixture(params=["file", "sql"])
def any_registry(request: pytest.FixtureRequest, reachable: Path) -> Path:
    if request.param == "sql":
        config = reachable / "feature_store.yaml"
        config.write_text(config.read_text().replace("registry: data/registry.db", SQL % reachable))
    return reachable


def test_a_rehearsal_changes_nothing(any_registry: Path, append: Callable[[str], None]) -> None:
    register(any_registry)
    append(FLEETS)
    Registration(any_registry).rehearse()
    assert registered(any_registry) == ["airlines"]


def test_a_rehearsal_makes_no_file(reachable: Path) -> None:
    Registration(reachable).rehearse()
    assert not (reachable / "data" / "registry.db").exists()


def test_what_was_added_is_put_back_when_what_follows_fails(
    any_registry: Path, append: Callable[[str], None]
) -> None:
    register(any_registry)
    append(FLEETS)
    registration = Registration(any_registry)
    seen = []

    def fail_behind() -> None:
        with registration.added():
            seen.extend(registered(any_registry))
            raise KeyError

    with pytest.raises(KeyError):
        fail_behind()
    assert seen == ["airlines", "fleets"]
    assert registered(any_registry) == ["airlines"]
    with registration.added():
        pass
    assert registered(any_registry) == ["airlines", "fleets"]


def test_a_registry_that_was_not_there_is_not_there_when_what_follows_fails(reachable: Path) -> None:
    registration = Registration(reachable)
    with pytest.raises(KeyError), registration.added():
        raise KeyError
    assert not (reachable / "data" / "registry.db").exists()


def test_a_registry_that_cannot_be_written_is_what_it_was(
    reachable: Path, append: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(reachable)
    before = (reachable / "data" / "registry.db").read_bytes()
    append(FLEETS)
    registration = Registration(reachable)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(ServiceUnavailable, match=r"registry.*no space left"), registration.added():
        pass
    assert (reachable / "data" / "registry.db").read_bytes() == before


def test_what_is_gone_is_named_until_it_is_removed(any_registry: Path, append: Callable[[str], None]) -> None:
    before = (any_registry / "features.py").read_text()
    append(FLEETS)
    register(any_registry)
    (any_registry / "features.py").write_text(before)
    registration = Registration(any_registry)
    assert registration.removed_views() == [RemovedView("fleets", ("carrier",), ("planes",))]
    assert registered(any_registry) == ["airlines", "fleets"]
    registration.remove()
    assert registration.removed_views() == []
    assert registered(any_registry) == ["airlines"]


def test_registration_does_not_change_the_plan(reachable: Path) -> None:
    before = compile_features(reachable).plan()
    register(reachable)
    assert compile_features(reachable).plan() == before


def test_a_repository_that_cannot_be_read_is_not_registered(
    reachable: Path, replace: Callable[[str, str], None]
) -> None:
    replace("carrier = Entity(", "carrier = Entityy(")
    with pytest.raises(DefinitionError, match=r"features\.py:\d+: module 'features': NameError"):
        register(reachable)
    assert not (reachable / "data" / "registry.db").exists()


def test_a_rehearsal_makes_no_registry(repo: Path) -> None:
    """Feast would make the tables of a database to read them."""
    file = repo / "registry.sqlite"
    config = repo / "feature_store.yaml"
    config.write_text(config.read_text().replace("registry: data/registry.db", SQL % repo))
    Registration(repo).rehearse()
    assert not file.exists()
    file.touch()
    Registration(repo).rehearse()
    assert file.stat().st_size == 0
    register(repo)
    Registration(repo).rehearse()
    assert FeatureStore(repo_path=str(repo)).list_feature_services()[0].name == "delays"
