"""One process at a time holds the lock of a directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.local.directory_lock import LOCK_FILE, DirectoryLock
from headrace.schemas.errors import SettingsError

_HOLDER = """
import sys
from pathlib import Path
from headrace.deploy.local.directory_lock import DirectoryLock
DirectoryLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    first = DirectoryLock(directory)
    first.acquire()
    with pytest.raises(SettingsError, match=rf"{directory} is in use by process {os.getpid()}.*DATA_DIR"):
        DirectoryLock(directory).acquire()
    first.release()
    DirectoryLock(directory).acquire()


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match=f"process {holder.pid}"):
            DirectoryLock(tmp_path).acquire()
        holder.kill()
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
