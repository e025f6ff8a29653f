"""One Kafka and one registry for all processes of `pytest -n`, started when the first of them wants it.

The process that hands out the tests has them, since it ends last. The others ask by a file in a folder, and
are answered by another.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.registry_server import RegistryServer
from tests.support.paths import ROOT
from tests.support.waiting import eventually

_FOLDER = "HEADRACE_TEST_SHARED"  # environment variable of the processes that run tests
_LOOK_S = 0.05
Server = KafkaServer | RegistryServer
_SERVERS: Mapping[str, Callable[[], Server]] = {
    "kafka": lambda: KafkaServer(cache=ROOT / ".cache" / "kafka"),
    "registry": lambda: RegistryServer(cache=ROOT / ".cache" / "registry"),
}


def want(kind: str) -> None:
    """Have it started, if it is shared: it will be asked for."""
    if folder := os.environ.get(_FOLDER):
        (Path(folder) / f"{kind}.wanted").touch()


@contextmanager
def address_of(kind: str) -> Iterator[str]:
    """The address of a running server that `HEADRACE_TEST_…` names, of a shared one, or of one of its own."""
    folder, given = os.environ.get(_FOLDER), os.environ.get(f"HEADRACE_TEST_{kind.upper()}")
    if given:
        yield given
    elif folder:
        want(kind)
        yield eventually(lambda: _answer(Path(folder), kind), f"the shared {kind}")
    else:
        with _SERVERS[kind]() as server:
            yield _address(server)


def _answer(folder: Path, kind: str) -> str:
    failed, address = folder / f"{kind}.failed", folder / f"{kind}.address"
    assert not failed.exists(), failed.read_text()
    return address.read_text() if address.exists() else ""


def _address(server: Server) -> str:
    return server.bootstrap if isinstance(server, KafkaServer) else server.url


class SharedServers:
    """Starts what is wanted, between `start` and `stop`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-tests-")
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in _SERVERS]

    def start(self) -> None:
        os.environ[_FOLDER] = self._folder.name
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._folder.cleanup()

    def _run(self, kind: str) -> None:
        """A server ends with the thread that started it (see `headrace.deploy.local.child`)."""
        folder = Path(self._folder.name)
        while not (folder / f"{kind}.wanted").exists():
            if self._stopping.wait(_LOOK_S):
                return
        try:
            with _SERVERS[kind]() as server:
                self._tell(f"{kind}.address", _address(server))
                self._stopping.wait()
        except Exception as error:
            self._tell(f"{kind}.failed", repr(error))

    def _tell(self, name: str, text: str) -> None:
        """Whole, or not yet."""
        draft = Path(self._folder.name) / f"{name}.draft"
        draft.write_text(text)
        draft.rename(draft.with_suffix(""))
