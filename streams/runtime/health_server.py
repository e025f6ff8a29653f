"""Health of a process over HTTP: ``/metrics`` for Prometheus, ``/readyz`` and ``/healthz`` for probes.

Served from a thread, so that it answers when the event loop does not.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from headrace.schemas.errors import SettingsError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.runtime.bounded_http import BoundedHandler, BoundedHttpServer
from headrace.streams.runtime.config import ConsumerConfig
from headrace.streams.runtime.health import ProcessHealth
from headrace.streams.runtime.http_hosts import HttpHosts
from headrace.streams.runtime.process_metrics import ProcessMetrics
from headrace.streams.runtime.watchdog import Watchdog


def watch_process(kafka: Kafka, health: Callable[[], ProcessHealth], config: ConsumerConfig) -> None:
    """End this process when it makes no progress for `stuck_s` (see `Watchdog`), and serve its health.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    health
        Returns the health of this process; called from other threads.
    config
        When the process is stuck, and where it listens; port 0: nowhere.

    Raises
    ------
    SettingsError
        When the port cannot be listened on.
    """
    watchdog = Watchdog(kafka, health, config.stuck_s)
    if config.metrics_port:
        hosts = HttpHosts(config.allowed_hosts)
        serve_health(config.metrics_host, config.metrics_port, watchdog, hosts)
    watchdog.start()


def serve_health(
    host: str, port: int, watchdog: Watchdog, hosts: HttpHosts | None = None
) -> BoundedHttpServer:
    """Answer from a thread of its own until the process ends; port 0 takes a free one.

    Requests under other names than those of `hosts` are refused with 421.

    Raises
    ------
    SettingsError
        When the port cannot be listened on.
    """

    return _listen(host, port, _ProcessPaths(watchdog), hosts)


@contextlib.contextmanager
def simple_health(
    host: str, port: int, ready: Callable[[], str | None], hosts: HttpHosts | None = None
) -> Iterator[None]:
    """Answer in the block for a process without partitions: ``/healthz``, and ``/readyz``. Port 0: nowhere.

    Parameters
    ----------
    host, port
        Where to listen.
    ready
        Returns what the process waits for; None once it is ready.
    hosts
        As of `serve_health`.

    Raises
    ------
    SettingsError
        When the port cannot be listened on.
    """
    if not port:
        yield
        return
    server = _listen(host, port, _SimplePaths(ready), hosts)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _listen(host: str, port: int, paths: _Paths, hosts: HttpHosts | None) -> BoundedHttpServer:
    class Handler(_Handler):
        pass

    Handler.paths, Handler.hosts = paths.answers(), hosts or HttpHosts()
    try:
        server = BoundedHttpServer((host, port), Handler)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} for metrics: {error.strerror}; give each process of a machine a "
            "port of its own in HEADRACE_METRICS_PORT, or 0 for none"
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


_log = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"


_Answer = tuple[int, str]  # a status and a text


class _Paths(Protocol):
    def answers(self) -> Mapping[str, Callable[[], _Answer]]:
        """Return what answers each path."""


class _SimplePaths:
    def __init__(self, ready: Callable[[], str | None]) -> None:
        self._ready = ready

    def answers(self) -> Mapping[str, Callable[[], _Answer]]:
        return {"/readyz": self.readyz, "/healthz": lambda: (200, "alive\n")}

    def readyz(self) -> _Answer:
        waits_for = self._ready()
        return (200, "ready\n") if waits_for is None else (503, f"{waits_for}\n")


class _ProcessPaths:
    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._registry = CollectorRegistry()
        self._registry.register(ProcessMetrics(watchdog))

    def answers(self) -> Mapping[str, Callable[[], _Answer]]:
        return {"/metrics": self.metrics, "/readyz": self.readyz, "/healthz": self.healthz}

    def metrics(self) -> _Answer:
        return 200, generate_latest(self._registry).decode()

    def readyz(self) -> _Answer:
        health = self._watchdog.health()
        if health.ready:
            ready = "standby: another process is the owner" if health.is_standby else "ready"
            return 200, f"{ready}\n{health.plan.describe()}\n"
        if not health.assigned:
            return 503, "no partitions are assigned yet\n"
        restoring = [f"{one.topic}[{one.partition}]" for one in health.partitions if one.position is None]
        return 503, f"restoring {', '.join(restoring)}\n"

    def healthz(self) -> _Answer:
        health = self._watchdog.health()
        waits = f"; waiting for {health.waiting_for}" if health.waiting_for else ""
        text = f"last checkpoint {health.checkpoint_age_s:.1f} s ago{waits}\n"
        return (200 if self._watchdog.alive else 503), text


class _Handler(BoundedHandler):
    paths: Mapping[str, Callable[[], _Answer]]
    hosts: HttpHosts

    def do_GET(self) -> None:
        if not self.hosts.allows(self.headers.get("Host", "localhost")):
            return self._answer(421, "ask by the address, or add the name to the setting allowed_hosts\n")
        answers, path = self.paths, self.path.partition("?")[0]
        try:
            status, text = answers[path]() if path in answers else (404, f"there is {', '.join(answers)}\n")
        except Exception as error:  # the process goes on while it is looked at
            _log.exception("%s failed", path)
            status, text = 503, f"it cannot be told at this moment: {type(error).__name__}\n"
        self._answer(status, text, CONTENT_TYPE_LATEST if path == "/metrics" else _TEXT)

    def _answer(self, status: int, text: str, content_type: str = _TEXT) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes are not news."""
