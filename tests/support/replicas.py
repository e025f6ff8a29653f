"""Replicas of a service behind what a cluster has: endpoints that are sent requests while they are ready."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.deploy.local.child import Child, free_port
from tests.support.waiting import PATIENCE_S, eventually


class Replica:
    """A process of `headrace` that answers HTTP."""

    def __init__(self, command: str, repo: Path, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        words = [sys.executable, "-P", "-m", "headrace", command, str(repo), "--port", str(self.port)]
        self.child = Child(command, words, log, repo, dict(environment))

    def start(self) -> None:
        """Start it, and return once it is ready."""
        self.child.start()
        self.child.wait_until(self.is_ready, PATIENCE_S)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=PATIENCE_S) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Clients:
    """Clients that keep their connections, and send one request after the other to replicas.

    Attributes
    ----------
    endpoints
        The replicas that they are sent to.
    answers
        Number of answers with status 200, by port.
    losses
        What came in place of one.
    """

    def __init__(self, path: str, body: Any, count: int = 3) -> None:
        self._path, self._body = path, json.dumps(body)
        self.endpoints: tuple[Replica, ...] = ()
        self.answers: Counter[int] = Counter()
        self.losses: list[str] = []
        self._turns = [0] * count
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ends.set()
            for thread in self._threads:
                thread.join()

    def wait_for_turns(self, count: int) -> None:
        """Return once each client has begun and ended so many more requests."""
        before = list(self._turns)
        eventually(
            lambda: min(now - then for now, then in zip(self._turns, before, strict=True)),
            "requests of every client",
            lambda fewest: fewest > count,
        )

    def _run(self, number: int) -> None:
        kept: dict[int, http.client.HTTPConnection] = {}
        while not self._ends.is_set():
            replica = self.endpoints[self._turns[number] % len(self.endpoints)]
            connection = kept.setdefault(
                replica.port, http.client.HTTPConnection("127.0.0.1", replica.port, timeout=PATIENCE_S)
            )
            try:
                connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 200 or '"logged":false' in text:
                    self.losses.append(f"{answer.status} {text}")
                self.answers[replica.port] += 1
            except (OSError, http.client.HTTPException) as error:
                self.losses.append(repr(error))
                del kept[replica.port]
            self._turns[number] += 1
        for connection in kept.values():
            connection.close()
