"""A file that could not be written leaves nothing behind."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from headrace.schemas.errors import DiskError
from headrace.streams.durable_files import write_atomically


def test_a_full_disk_leaves_the_file_as_it_was_and_no_unfinished_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"before")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(DiskError, match="state cannot be written: File too large; make room, and"):
            write_atomically(path, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    assert path.read_bytes() == b"before"
