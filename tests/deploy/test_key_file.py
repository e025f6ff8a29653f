"""The file of the model key is whole, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.deploy.key_file import make_key, read_key


def test_a_key_is_made_for_its_owner_alone_and_one_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "model.key"
    make_key(file)
    key = read_key(file)
    assert key is not None
    assert len(key) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    make_key(file)
    assert read_key(file) == key
    assert [*tmp_path.iterdir()] == [file]


def test_one_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("made to fail")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="made to fail"):
        make_key(tmp_path / "model.key")
    assert [*tmp_path.iterdir()] == []
