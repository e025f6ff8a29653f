"""One child process: its own process group, its own log, and dead when its parent is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.schemas.errors import ServiceUnavailable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with(parent: int) -> Callable[[], None]:
    """What the child runs before its program: the kernel ends it when the thread that started it ends."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return prepare


def free_port() -> int:
    """A TCP port nobody listens on, below the range outgoing connections take theirs from."""
    while True:
        port = random.SystemRandom().randint(20_000, 31_999)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Child:
    """A child process.

    It gets a process group of its own, so that Ctrl-C in a terminal reaches the parent alone, which then
    stops its children in order. On Linux it is killed when the thread that started it ends.

    Parameters
    ----------
    name
        What messages call it.
    command
        Program and arguments.
    log
        File its output is appended to.
    cwd
        Its working directory; None for the parent's.
    env
        Its environment; None for the parent's.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command, self._cwd, self._env = list(command), cwd, env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Child:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._env,
                process_group=0,
                preexec_fn=_die_with(os.getpid()),
            )
        return self

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout_s: float = 15.0) -> int | None:
        """Ask it to stop, kill it after `timeout_s`, and return its exit code once it is gone."""
        if self._process is None:
            return None
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.kill()

    def kill(self) -> int | None:
        """Kill it, and whatever it started (kill -9); return its exit code once it is gone."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_lines(self, count: int = 20) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Ask `ready` until it says yes.

        Raises
        ------
        ServiceUnavailable
            When the child ends or the time is up; the message ends with its log.
        """
        deadline = time.monotonic() + timeout_s
        pause = 0.01
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise self._trouble(f"is not ready after {timeout_s:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def check(self) -> None:
        """See that it runs.

        Raises
        ------
        ServiceUnavailable
            When it has ended; the message ends with its log.
        """
        if self.exit_code is not None:
            raise self._trouble(f"ended with exit code {self.exit_code}")

    def _trouble(self, problem: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self.name} {problem}; its log {self.log} ends with:\n{self.last_lines()}"
        )
