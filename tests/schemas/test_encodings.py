"""A version that is not read is refused, and the refusal says what, which, by whom and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.schemas.encodings import UNVERSIONED, Encoding, headrace_version
from headrace.schemas.errors import ModelError, StateError

POSITION = Encoding(version=2, older=(UNVERSIONED, 1), remedy="run that version")


@pytest.mark.parametrize(("raw", "version"), [({}, 0), ({"v": 1}, 1), ({"v": 2, "by": "9"}, 2)])
def test_versions_that_are_read_are_told_apart(raw: dict[str, object], version: int) -> None:
    assert POSITION.check(raw, "the position") == version


def test_any_other_version_is_refused() -> None:
    with pytest.raises(StateError, match="has version 3"):
        POSITION.check({"v": 3}, "the position")


def test_a_refusal_names_object_version_writer_and_remedy() -> None:
    with pytest.raises(StateError) as caught:
        POSITION.check({"v": 3, "by": "9.1"}, "the position of clicks[0]")
    assert str(caught.value) == (
        "the position of clicks[0] has version 3, this Headrace reads 0 and 1 and 2; "
        "it was written by Headrace 9.1: run that version"
    )
    with pytest.raises(StateError, match="written by another Headrace: run that version"):
        POSITION.check({"v": 3}, "the position of clicks[0]")


def test_an_encoding_names_the_error_that_fits() -> None:
    with pytest.raises(ModelError):
        Encoding(version=1, remedy="", error=ModelError).check({}, "the model")


def test_what_is_stamped_is_read_again_in_json_and_in_parquet() -> None:
    assert POSITION.stamp() == {"v": 2, "by": headrace_version()}
    assert POSITION.check(POSITION.stamp(), "the position") == 2
    metadata = {name.encode(): value.encode() for name, value in POSITION.metadata().items()}
    assert POSITION.check_metadata(metadata, "the file") == 2
    assert POSITION.check_metadata(None, "the file") == UNVERSIONED


def test_a_parquet_file_of_another_version_is_refused() -> None:
    with pytest.raises(StateError, match=r"has version 3.*written by Headrace 9"):
        POSITION.check_metadata({b"v": b"3", b"by": b"9"}, "the file")


@pytest.mark.parametrize("version", ["2", "one", "", True, None, 1.0, [1]])
def test_a_version_that_is_none_is_damage(version: Any) -> None:
    with pytest.raises(StateError, match=r"the position is damaged, or another program's: its version is"):
        POSITION.check({"v": version, "by": "9"}, "the position")
