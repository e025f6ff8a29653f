"""A child process with a process group and a log of its own, which ends when its parent does."""

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

from headrace.deploy.local.environment import bare_environment
from headrace.schemas.errors import ServiceUnavailable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with(parent: int) -> Callable[[], None]:
    """Return a function for the child to run before its program, to be killed when its parent thread ends."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return prepare


def free_port() -> int:
    """Return a TCP port without a listener, below the range that outgoing connections take theirs from."""
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

    Has a process group of its own, so that Ctrl-C in a terminal reaches the parent alone, which then stops
    its children in order. On Linux the kernel kills it when the thread that started it ends.

    Parameters
    ----------
    name
        Its name in messages.
    command
        Program and arguments.
    log
        File that its output is appended to.
    cwd
        Working directory; None for the parent's.
    env
        Environment; None for what any program needs of the parent's, without its secrets.
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
        """Exit code; None while the process runs, and before its start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Child:
        """Start the program."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=bare_environment() if self._env is None else self._env,
                process_group=0,
                preexec_fn=_die_with(os.getpid()),
            )
        return self

    def terminate(self) -> None:
        """Send SIGTERM, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout_s: float = 15.0) -> int | None:
        """Send SIGTERM, kill after `timeout_s` seconds, and return the exit code once the process is gone."""
        if self._process is None:
            return None
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.kill()

    def kill(self) -> int | None:
        """Kill the whole process group (kill -9), and return the exit code once the process is gone."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_lines(self, count: int = 20) -> str:
        """Return the end of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready` returns True.

        Raises
        ------
        ServiceUnavailable
            When the process ends first, or `timeout_s` seconds are over. The message ends with its log.
        """
        deadline = time.monotonic() + timeout_s
        pause = 0.01
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise self._failure(f"is not ready after {timeout_s:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def check(self) -> None:
        """Check that the process runs.

        Raises
        ------
        ServiceUnavailable
            When it has ended. The message ends with its log.
        """
        if self.exit_code is not None:
            raise self._failure(f"ended with exit code {self.exit_code}")

    def _failure(self, problem: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self.name} {problem}; its log {self.log} ends with:\n{self.last_lines()}"
        )
