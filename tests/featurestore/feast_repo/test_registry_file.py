"""Feast's registry in another file than the repository names, where the repository cannot keep one."""

from __future__ import annotations

from pathlib import Path

import pytest
from feast import FeatureStore

from headrace.featurestore.feast_repo.registration import Registration
from tests.support.batch_project import batch_project


def register(folder: Path, registry: Path) -> None:
    registration = Registration(folder, registry=registry)
    registration.rehearse()
    with registration.added():
        pass
    registration.remove()


def test_a_repository_that_cannot_be_written_is_registered_in_the_file(tmp_path: Path, project: str) -> None:
    folder, registry = batch_project(tmp_path / "shop", project), tmp_path / "volume" / "registry.db"
    registry.parent.mkdir()
    before = sorted(folder.rglob("*"))
    register(folder, registry)
    assert sorted(folder.rglob("*")) == before
    text = (folder / "feature_store.yaml").read_text()
    (tmp_path / "feature_store.yaml").write_text(text.replace("data/registry.db", str(registry)))
    store = FeatureStore(fs_yaml_file=tmp_path / "feature_store.yaml")
    assert [view.name for view in store.list_feature_views()] == ["ages"]
    register(folder, registry)  # as by the next container


@pytest.mark.parametrize(
    "kept", ["registry_type: sql, path: 'sqlite:///{db}'", "path: '{db}', registry_type: sql"]
)
def test_a_registry_of_tables_stays_where_it_is(tmp_path: Path, project: str, kept: str) -> None:
    folder, database = batch_project(tmp_path / "shop", project), tmp_path / "registry.sqlite"
    path = f"sqlite:///{database}"
    text = (folder / "feature_store.yaml").read_text()
    entry = f"registry: {{{kept.replace('sqlite:///{db}', path).replace('{db}', path)}}}"
    (folder / "feature_store.yaml").write_text(text.replace("registry: data/registry.db", entry))
    register(folder, tmp_path / "registry.db")
    assert database.exists()
    assert not (tmp_path / "registry.db").exists()
