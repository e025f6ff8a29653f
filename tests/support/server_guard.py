"""Tests that use servers say so by their fixtures; a server that a test starts without is refused.

So `make test-fast` knows what to leave out, and nobody keeps marks by hand. What a process that a test starts
starts in its turn is not seen: such a test asks for the fixture by `pytest.mark.usefixtures`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FIXTURE = "servers"
_PROGRAMS = ("java", "redis-server", "valkey-server")
_may_start = True


def allow(may_start: bool) -> None:
    """Whether what runs now may start servers."""
    global _may_start
    _may_start = may_start


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and not _may_start and Path(str(arguments[0])).name in _PROGRAMS:
        raise AssertionError(f"{arguments[0]} is started by a test that does not use the fixture `{FIXTURE}`")


def watch() -> None:
    """From now on, refuse."""
    sys.addaudithook(_refuse)
