"""A repository, read as Feast reads it: what is found in which file, and nothing left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from headrace.featurestore.feast_repo.config import read_config
from headrace.featurestore.feast_repo.repository import read_repository
from headrace.schemas.errors import DefinitionError

REDIS = 'type: redis\n  connection_string: "127.0.0.1:1"'


def test_objects_are_found_with_their_files(repo: Path) -> None:
    (repo / "more").mkdir()
    (repo / "more" / "services.py").write_text(
        "from feast import FeatureService\n"
        "from features import airlines, carrier_delays\n"
        'fleet = FeatureService(name="fleet", features=[airlines])\n'
    )
    found = read_repository(repo)
    assert {service.name for service in found.contents.feature_services} == {"delays", "fleet"}
    (view,) = found.contents.stream_feature_views
    services = {service.name: service for service in found.contents.feature_services}
    assert found.file_of(view) == "features.py"
    assert found.file_of(services["fleet"]) == "more/services.py"
    assert found.file_of(object(), services["fleet"]) == "more/services.py"
    assert found.file_of(object()) == str(repo.resolve())


def test_nothing_is_left_behind(repo: Path) -> None:
    before = os.getcwd(), list(sys.path), set(sys.modules), sys.dont_write_bytecode
    read_repository(repo)
    own = {name for name in set(sys.modules) - before[2] if name.split(".")[0] in ("features", "learners")}
    assert (os.getcwd(), list(sys.path), own, sys.dont_write_bytecode) == (*before[:2], set(), before[3])
    assert not list(repo.rglob("__pycache__"))


def test_an_error_leaves_nothing_behind_either(repo: Path) -> None:
    before = os.getcwd(), list(sys.path)
    (repo / "broken.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(DefinitionError, match=r"broken.py:1: module 'broken': SystemExit: 3"):
        read_repository(repo)
    assert (os.getcwd(), list(sys.path)) == before


def test_files_are_read_afresh(repo: Path) -> None:
    read_repository(repo)
    file = repo / "features.py"
    file.write_text(file.read_text().replace('Service(name="delays"', 'Service(name="renamed"'))
    assert [service.name for service in read_repository(repo).contents.feature_services] == ["renamed"]


def test_a_module_of_the_same_name_is_neither_used_nor_replaced(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = ModuleType("features")
    monkeypatch.setitem(sys.modules, "features", taken)
    assert len(read_repository(repo).contents.stream_feature_views) == 1
    assert sys.modules["features"] is taken


def test_the_learners_file_is_not_run(repo: Path) -> None:
    (repo / "learners.py").write_text("raise AssertionError\n")
    assert read_repository(repo).project


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("project: ", "project: é", "the name is not valid. Use ASCII letters"),
        (REDIS, f"{REDIS}\n  redis_type: redis_enterprise", "cannot be read.*redis_enterprise"),
        ("version: 3", "version: 1", "entity_key_serialization_version is 1. Set it to 3"),
        (REDIS, f"{REDIS}\n  key_ttl_seconds: -1", "key_ttl_seconds is -1, .* Give whole seconds from 1"),
        ("provider: local", "provider: [", "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(repo: Path, old: str, new: str, said: str) -> None:
    file = repo / "feature_store.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DefinitionError, match=f"(?s){said}") as caught:
        read_config(repo)
    assert caught.value.file == "feature_store.yaml"
    if caught.value.line is not None:
        assert new.split(":")[-2].split()[-1] in file.read_text().splitlines()[caught.value.line - 1]
    else:
        assert "cannot be read" in said


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"no such file\. Write feature_store.yaml or name its folder"):
        read_config(tmp_path)


def test_a_class_that_the_configuration_names_and_nobody_has_is_refused_with_the_remedy(repo: Path) -> None:
    """One in a file of the repository is found: see the shape `sales` of tests/featurestore/shapes."""
    config = repo / "feature_store.yaml"
    config.write_text(config.read_text().replace("type: dask", "type: nowhere.OwnOfflineStore"))
    with pytest.raises(DefinitionError, match=r"Could not import module 'nowhere'.*Install what Feast needs"):
        read_repository(repo)
