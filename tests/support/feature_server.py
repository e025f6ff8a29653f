"""Runs `headrace features` as a process."""

from __future__ import annotations

import contextlib
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.deploy.local.child import Child, free_port
from tests.support.waiting import PATIENCE_S


@contextlib.contextmanager
def feature_server(repo: Path, settings: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run one in the block, which is given its URL."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "headrace", "features", str(repo)]
    environment = {**os.environ, **settings, "HEADRACE_FEATURES_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    server = Child("features", command, log, repo, environment).start()
    try:
        server.wait_until(lambda: _is_ready(url), PATIENCE_S)
        yield url
    finally:
        server.stop()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
