"""Artifacts come back as they were, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from river import linear_model

from headrace.learners.models.state_digest import state_digest
from headrace.learners.models.store import Artifact, ModelHeader, ModelStore
from headrace.schemas.errors import DiskError, ModelError, UnknownNameError
from tests.support.damage import damaged
from tests.support.pickled_calls import Calls

KEY = b"0123456789abcdef"


def artifact(minor: int = 1, major: int = 1, model: Any = None) -> Artifact:
    model = model or linear_model.LogisticRegression()
    header = ModelHeader(
        name="static", major=major, minor=minor, parent=None, offset=10, examples=9, first_ms=1, last_ms=2,
        mark_ms=None, definition="d", plan_hash="p", libraries={"river": "0"}, created_ms=3,
    )  # fmt: skip
    return Artifact(header, model, b"memory")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, KEY)


def test_a_published_version_comes_back(store: ModelStore) -> None:
    model = linear_model.LogisticRegression()
    model.learn_one({"a": 1.0}, True)
    published = artifact(model=model)
    content = store.write(published)
    served, resumed = store.load("static", "1.1", content), store.resume("static", "1.1", content)
    assert (served.header, served.memory) == (published.header, b"")
    assert (resumed.header, resumed.memory) == (published.header, b"memory")
    assert state_digest(served.model) == state_digest(resumed.model) == state_digest(model)


def test_two_artifacts_of_one_version_are_two_files(store: ModelStore) -> None:
    contents = [store.write(replace(artifact(), memory=memory)) for memory in (b"one", b"other")]
    assert [store.resume("static", "1.1", content).memory for content in contents] == [b"one", b"other"]
    assert store.write(replace(artifact(), memory=b"one")) == contents[0]
    with pytest.raises(UnknownNameError, match=r"artifact of learner 'static' not found: '1\.1-none\.model'"):
        store.load("static", "1.1", "none")


def test_other_artifacts_are_those_that_are_not_named(store: ModelStore) -> None:
    contents = {minor: store.write(artifact(minor)) for minor in (8, 9, 10)}
    others = store.others("static", [("1.9", contents[9]), ("1.10", contents[10])])
    assert [path.name for path in others] == [f"1.8-{contents[8]}.model"]


def test_artifacts_from_before_the_log_named_them_are_found_by_their_version(store: ModelStore) -> None:
    for minor in (10, 9):
        content = store.write(artifact(minor))
        path(store, minor, content).rename(store.directory / "static" / f"1.{minor}.model")
    store.write(artifact(11))
    (store.directory / "static" / "1.12.tmp").write_bytes(b"half")
    assert store.written_before("static") == ["1.9", "1.10"]
    assert store.resume("static", "1.10", "").header.minor == 10


def path(store: ModelStore, minor: int, content: str) -> Path:
    return store.directory / "static" / f"1.{minor}-{content}.model"


def write_with_a_changed_byte(store: ModelStore, at: int) -> str:
    content = store.write(artifact())
    data = bytearray(path(store, 1, content).read_bytes())
    data[at] ^= 1
    path(store, 1, content).write_bytes(data)
    return content


@pytest.mark.parametrize("at", [0, 20, 60, -40, -1])
def test_a_changed_byte_is_refused(store: ModelStore, at: int) -> None:
    content = write_with_a_changed_byte(store, at)
    with pytest.raises(ModelError, match="not signed with this key"):
        store.resume("static", "1.1", content)


@pytest.mark.parametrize("at", [0, 20, 40, 60, -80])
def test_who_only_serves_refuses_what_it_reads(store: ModelStore, at: int) -> None:
    content = write_with_a_changed_byte(store, at)
    with pytest.raises(ModelError, match="not signed with this key"):
        store.load("static", "1.1", content)


def test_the_memory_of_another_version_is_refused(store: ModelStore) -> None:
    contents = {minor: store.write(artifact(minor)) for minor in (1, 2)}
    one, other = (path(store, minor, content) for minor, content in contents.items())
    end = len(b"memory") + 32
    one.write_bytes(one.read_bytes()[:-end] + other.read_bytes()[-end:])
    assert store.load("static", "1.1", contents[1]).header.minor == 1
    with pytest.raises(ModelError, match=r"the memory of model static@1\.1 is not signed"):
        store.resume("static", "1.1", contents[1])


def test_another_key_and_a_truncated_file_are_refused(store: ModelStore) -> None:
    content = store.write(artifact())
    with pytest.raises(ModelError, match="not signed with this key"):
        ModelStore(store.directory, b"another key, as long").load("static", "1.1", content)
    file = path(store, 1, content)
    file.write_bytes(file.read_bytes()[:-7])
    for read in (store.load, store.resume):
        with pytest.raises(ModelError, match="not signed with this key"):
            read("static", "1.1", content)


def test_a_file_under_the_name_of_another_version_is_refused(store: ModelStore) -> None:
    content = store.write(artifact(1))
    path(store, 1, content).rename(path(store, 7, content))
    with pytest.raises(ModelError, match=r"holds static@1\.1"):
        store.load("static", "1.7", content)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="at least 16"):
        ModelStore(tmp_path, b"secret")


def test_nothing_unallowed_is_loaded_even_if_signed(store: ModelStore) -> None:
    content = store.write(replace(artifact(), model=Calls(eval, "1")))
    with pytest.raises(ModelError, match=r"builtins\.eval"):
        store.load("static", "1.1", content)


@pytest.mark.parametrize("name", ["1.2 (copy)", "latest", "1.2.3", "01.2", "1. 2", "\u0661.\u0662", "1", ""])
def test_a_foreign_file_among_the_artifacts_is_passed_over(store: ModelStore, name: str) -> None:
    content = store.write(artifact(1))
    for foreign in (f"{name}.model", f"{name}-{content}.model"):
        (store.directory / "static" / foreign).write_bytes(b"another's")
    assert store.written_before("static") == []
    assert [path.name for path in store.others("static", [])] == [f"1.1-{content}.model"]


def test_a_folder_in_place_of_an_artifact_is_a_model_error(store: ModelStore) -> None:
    (store.directory / "static" / "1.2.model").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"static@1\.2 cannot be read: .*; correct the rights of its file"):
        store.resume("static", "1.2", "")


def test_a_damaged_artifact_is_a_model_error_before_anything_of_it_is_read(store: ModelStore) -> None:
    content = store.write(artifact())
    (file,) = (store.directory / "static").iterdir()
    whole = file.read_bytes()
    for data in damaged(whole, Random(27), 200):
        if data != whole:
            file.write_bytes(data)
            with pytest.raises(ModelError, match=r"model static@1\.1|version .* this Headrace reads"):
                store.resume("static", "1.1", content)


def test_files_of_others_in_the_folder_are_nobodys(store: ModelStore) -> None:
    """Also under the name of an artifact, as long as it is a folder."""
    content = store.write(artifact())
    folder = store.directory / "static"
    (folder / "1.2.model").mkdir()
    (folder / "notes.model").write_text("mine")
    (folder / "1.3.pkl").write_bytes(b"x")
    assert store.others("static", [("1.1", content)]) == []
    assert store.written_before("static") == []


def test_a_file_in_the_place_of_the_folder_is_told(store: ModelStore) -> None:
    store.directory.mkdir(exist_ok=True)
    (store.directory / "static").write_text("a file")
    with pytest.raises(DiskError, match="move away what is in its place"):
        store.write(artifact())
