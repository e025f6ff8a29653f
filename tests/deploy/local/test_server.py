"""A third-party server: ready when it answers, and gone when it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headrace.deploy.local.child import Child
from headrace.deploy.local.server import LocalServer
from headrace.schemas.errors import ServiceUnavailable
from tests.support.waiting import PATIENCE_S

_ANSWERS = "import signal; print('ready', flush=True); signal.pause()"
_NEVER_ANSWERS = "import signal; print('starting', flush=True); signal.pause()"


class Server(LocalServer):
    """Answers once its program has written a line that says so."""

    def __init__(self, program: str, directory: Path | None = None, wait_s: float = PATIENCE_S) -> None:
        super().__init__("sample", directory)
        self.program, self.wait_s = program, wait_s

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def child(self) -> Child:
        assert self._child is not None
        return self._child

    def _prepare(self) -> Child:
        return Child("sample server", [sys.executable, "-c", self.program], self._directory / "server.log")

    def _wait(self, child: Child) -> None:
        child.wait_until(lambda: "ready" in child.last_lines(), self.wait_s)


def test_it_runs_within_its_block_and_leaves_no_folder_of_its_own() -> None:
    with Server(_ANSWERS) as server:
        assert server.child.exit_code is None
        folder = server.directory
        assert (folder / "server.log").exists()
    assert server.child.exit_code is not None
    assert not folder.exists()


def test_files_in_a_given_folder_stay(tmp_path: Path) -> None:
    with Server(_ANSWERS, tmp_path):
        pass
    assert (tmp_path / "server.log").exists()


def test_a_restart_is_another_process_also_after_a_kill(tmp_path: Path) -> None:
    with Server(_ANSWERS, tmp_path) as server:
        first = server.child.pid
        second = server.restart().child.pid
        server.kill()
        assert server.child.exit_code is not None
        third = server.restart().child.pid
    assert len({first, second, third}) == 3


def test_one_that_does_not_answer_in_time_is_killed_and_shown_with_its_log(tmp_path: Path) -> None:
    server = Server(_NEVER_ANSWERS, tmp_path, wait_s=0.2)
    with pytest.raises(ServiceUnavailable, match=r"sample server is not ready after 0\.2 s"):
        server.start()
    assert server.child.exit_code is not None


def test_one_that_ends_is_shown_with_exit_code_and_log(tmp_path: Path) -> None:
    server = Server("print('no licence'); raise SystemExit(4)", tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"ended with exit code 4[\s\S]*no licence"):
        server.start()


def test_stopping_what_was_never_started_does_nothing(tmp_path: Path) -> None:
    server = Server(_ANSWERS, tmp_path)
    server.stop()
    server.kill()
