"""The folder of the process, which threads share."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from headrace.featurestore.feast_repo.as_feast import as_feast_runs


def test_threads_that_run_in_folders_of_their_own_leave_the_folder_of_before(tmp_path: Path) -> None:
    before, import_path = Path.cwd(), list(sys.path)
    inside, found, second_waits = threading.Event(), [], threading.Event()

    def second() -> None:
        inside.wait()
        second_waits.set()
        with as_feast_runs(other):
            found.append(Path.cwd())

    first_folder, other = tmp_path / "first", tmp_path / "other"
    for folder in (first_folder, other):
        folder.mkdir()
    thread = threading.Thread(target=second)
    thread.start()
    with as_feast_runs(first_folder):
        inside.set()
        second_waits.wait()
        with as_feast_runs(tmp_path):  # of one thread, one within the other
            assert Path.cwd() == tmp_path
        assert (Path.cwd(), sys.path[0]) == (first_folder, str(first_folder))
        assert thread.is_alive()
    thread.join()
    assert found == [other]
    assert (Path.cwd(), sys.path) == (before, import_path)
