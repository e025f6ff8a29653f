"""Processes forked from one that has imported what they need: that takes longer than much of what is tested.

`start` runs a module of this folder as ``python -m`` would. What forks it is this module as a process: a line
in, with what to run, and lines out, of who began and who ended.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S


class Forked:
    """What the tests need of a `subprocess.Popen`."""

    def __init__(self, pid: int, news: threading.Condition) -> None:
        self.pid, self._news = pid, news
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        with self._news:
            self._news.wait_for(lambda: self.returncode is not None, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def pause(self) -> None:
        self.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.send_signal(signal.SIGCONT)

    @property
    def is_paused(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Nursery:
    """The process that forks, as its user sees it. It ends with its user, and its children with it."""

    def __init__(self, imports: Sequence[str]) -> None:
        self._news, self._turn = threading.Condition(), threading.Lock()
        self._begun: list[Forked] = []
        self._running: dict[int, Forked] = {}
        command = [sys.executable, "-m", "tests.support.nursery", *imports]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # threads do not survive a fork
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, module: str, arguments: Sequence[str], log: Path) -> Forked:
        assert self._process.stdin is not None
        with self._turn, self._news:
            self._process.stdin.write(json.dumps([module, list(arguments), str(log)]) + "\n")
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: self._begun, PATIENCE_S), "the nursery does not answer"
            return self._begun.pop()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, pid, code = line.split()
            with self._news:
                if what == "began":
                    self._running[int(pid)] = Forked(int(pid), self._news)
                    self._begun.append(self._running[int(pid)])
                else:
                    self._running.pop(int(pid)).returncode = int(code)
                self._news.notify_all()


@cache
def _nursery(*imports: str) -> Nursery:
    return Nursery(imports)


_STREAMS = (
    "headrace.featurestore.online.writer",
    "headrace.streams.join.process",
    "headrace.streams.worker.process",
)


def start(module: str, arguments: Sequence[str], log: Path, imports: Sequence[str] = _STREAMS) -> Forked:
    """Run a module with arguments; its output is appended to a file.

    `imports` are modules that it finds imported. Each choice of them has a process of its own that forks.
    """
    return _nursery(*imports).start(module, arguments, log)


def main() -> None:
    """Import what is slow, then fork until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its user's; when that ends, so does the input
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    children: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if selector.select(0.02):
                line = sys.stdin.readline()
                if not line:
                    break
                children.add(_fork(*json.loads(line)))
            _reap(children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _fork(module: str, arguments: list[str], log: str) -> int:
    pid = os.fork()
    if pid == 0:
        _become(module, arguments, log)
    with contextlib.suppress(OSError):  # both do it: whoever comes first
        os.setpgid(pid, pid)
    _tell("began", pid, 0)
    return pid


def _reap(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.remove(pid)
            _tell("ended", pid, os.waitstatus_to_exitcode(status))


def _tell(*words: Any) -> None:
    print(*words, flush=True)


def _become(module: str, arguments: list[str], log: str) -> NoReturn:
    """In the child: be that program, to its end."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(signal.SIGUSR1)  # tells in its log what it does
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in ((0, nothing), (1, output), (2, output)):
        os.dup2(file, number)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    raise SystemExit(0)


if __name__ == "__main__":
    main()
