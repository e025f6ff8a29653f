"""Artifacts come back as they were, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from river import linear_model

from headrace.learners.models.state_digest import state_digest
from headrace.learners.models.store import LINEAGE, Artifact, ModelHeader, ModelStore, PublishedVersion
from headrace.schemas.errors import ModelError, UnknownNameError
from tests.support.pickled_calls import Calls

KEY = b"0123456789abcdef"


def artifact(minor: int = 1, major: int = 1, model: Any = None) -> Artifact:
    model = model or linear_model.LogisticRegression()
    header = ModelHeader(
        name="static", major=major, minor=minor, parent=None, offset=10, examples=9, first_ms=1, last_ms=2,
        mark_ms=None, definition="d", plan_hash="p", libraries={"river": "0"}, created_ms=3,
    )  # fmt: skip
    return Artifact(header, model, b"memory")


def publish(store: ModelStore, one: Artifact) -> None:
    store.publish(one)
    digest = state_digest(one.model)
    store.record(PublishedVersion(**vars(one.header), metrics={"auc": 0.5}, digest=digest))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, KEY, keep=3)


def test_a_published_version_comes_back(store: ModelStore) -> None:
    model = linear_model.LogisticRegression()
    model.learn_one({"a": 1.0}, True)
    published = artifact(model=model)
    store.publish(published)
    served, resumed = store.load("static", "1.1"), store.resume("static", "1.1")
    assert (served.header, served.memory) == (published.header, b"")
    assert (resumed.header, resumed.memory) == (published.header, b"memory")
    assert state_digest(served.model) == state_digest(resumed.model) == state_digest(model)


def test_versions_order_as_numbers_and_the_lineage_outlives_the_files(store: ModelStore) -> None:
    for major, minor in ((1, 8), (1, 9), (1, 10), (2, 0)):
        publish(store, artifact(minor, major))
    assert store.latest("static") == "2.0"
    assert [header.version for header in store.lineage("static")] == ["1.8", "1.9", "1.10", "2.0"]
    with pytest.raises(UnknownNameError, match=r"1\.8"):
        store.load("static", "1.8")


def test_a_lineage_torn_by_a_crash_is_still_read(store: ModelStore) -> None:
    publish(store, artifact(1))
    with (store.directory / "static" / LINEAGE).open("a") as lineage:
        lineage.write('{"name": "sta\n')
    publish(store, artifact(2))
    assert [header.version for header in store.lineage("static")] == ["1.1", "1.2"]


def test_an_unfinished_file_is_no_version(store: ModelStore) -> None:
    (store.directory / "static").mkdir(parents=True)
    (store.directory / "static" / "1.2.tmp").write_bytes(b"half")
    assert store.latest("static") is None


def publish_with_a_changed_byte(store: ModelStore, at: int) -> None:
    store.publish(artifact())
    path = store.directory / "static" / "1.1.model"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 20, 60, -40, -1])
def test_a_changed_byte_is_refused(store: ModelStore, at: int) -> None:
    publish_with_a_changed_byte(store, at)
    with pytest.raises(ModelError, match="not signed with this key"):
        store.resume("static", "1.1")


@pytest.mark.parametrize("at", [0, 20, 40, 60, -80])
def test_who_only_serves_refuses_what_it_reads(store: ModelStore, at: int) -> None:
    publish_with_a_changed_byte(store, at)
    with pytest.raises(ModelError, match="not signed with this key"):
        store.load("static", "1.1")


def test_the_memory_of_another_version_is_refused(store: ModelStore) -> None:
    store.publish(artifact(1))
    store.publish(artifact(2))
    one, other = (store.directory / "static" / f"1.{minor}.model" for minor in (1, 2))
    end = len(b"memory") + 32
    one.write_bytes(one.read_bytes()[:-end] + other.read_bytes()[-end:])
    assert store.load("static", "1.1").header.minor == 1
    with pytest.raises(ModelError, match=r"the memory of model static@1\.1 is not signed"):
        store.resume("static", "1.1")


def test_another_key_and_a_truncated_file_are_refused(store: ModelStore) -> None:
    store.publish(artifact())
    with pytest.raises(ModelError, match="not signed with this key"):
        ModelStore(store.directory, b"another key, as long").load("static", "1.1")
    path = store.directory / "static" / "1.1.model"
    path.write_bytes(path.read_bytes()[:-7])
    for read in (store.load, store.resume):
        with pytest.raises(ModelError, match="not signed with this key"):
            read("static", "1.1")


def test_a_file_under_the_name_of_another_version_is_refused(store: ModelStore) -> None:
    store.publish(artifact(1))
    (store.directory / "static" / "1.1.model").rename(store.directory / "static" / "1.7.model")
    with pytest.raises(ModelError, match=r"holds static@1\.1"):
        store.load("static", "1.7")


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="at least 16"):
        ModelStore(tmp_path, b"secret")


def test_nothing_unallowed_is_loaded_even_if_signed(store: ModelStore) -> None:
    store.publish(replace(artifact(), model=Calls(eval, "1")))
    with pytest.raises(ModelError, match=r"builtins\.eval"):
        store.load("static", "1.1")


def test_the_lineage_is_one_json_object_per_line(store: ModelStore) -> None:
    publish(store, artifact())
    line = (store.directory / "static" / LINEAGE).read_text().splitlines()[0]
    assert json.loads(line)["metrics"] == {"auc": 0.5}


@pytest.mark.parametrize("name", ["1.2 (copy)", "latest", "1.2.3", "01.2", "1. 2", "\u0661.\u0662", "1", ""])
def test_a_foreign_file_among_the_artifacts_is_passed_over(store: ModelStore, name: str) -> None:
    publish(store, artifact(1))
    (store.directory / "static" / f"{name}.model").write_bytes(b"another's")
    publish(store, artifact(2))
    assert store.latest("static") == "1.2"
    assert (store.directory / "static" / f"{name}.model").exists()


def test_a_folder_in_place_of_an_artifact_is_a_model_error(store: ModelStore) -> None:
    (store.directory / "static" / "1.2.model").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"static@1\.2 cannot be read: .*; correct the rights of its file"):
        store.resume("static", "1.2")


@pytest.mark.parametrize("line", [b"[1]", b"7", b'{"major": "x", "minor": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_line_that_is_no_version_is_passed_over(store: ModelStore, line: bytes) -> None:
    publish(store, artifact(1))
    with (store.directory / "static" / LINEAGE).open("ab") as lineage:
        lineage.write(line + b"\n")
    publish(store, artifact(2))
    assert [version.version for version in store.lineage("static")] == ["1.1", "1.2"]
