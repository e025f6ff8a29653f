"""Health of a process over HTTP: ``/metrics`` for Prometheus, ``/readyz`` and ``/healthz`` for probes.

Served from a thread, so that it answers when the event loop does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from headrace.schemas.errors import SettingsError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.runtime.health import ProcessHealth
from headrace.streams.runtime.process_metrics import ProcessMetrics
from headrace.streams.runtime.watchdog import Watchdog


def watch_process(
    kafka: Kafka, health: Callable[[], ProcessHealth], stuck_s: float, host: str, port: int
) -> None:
    """End this process when it makes no progress for `stuck_s` (see `Watchdog`), and serve its health.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    health
        Returns the health of this process; called from other threads.
    host, port
        Where to listen; port 0: nowhere.

    Raises
    ------
    SettingsError
        When the port cannot be listened on.
    """
    watchdog = Watchdog(kafka, health, stuck_s)
    if port:
        serve_health(host, port, watchdog)
    watchdog.start()


def serve_health(host: str, port: int, watchdog: Watchdog) -> ThreadingHTTPServer:
    """Answer from a thread of its own until the process ends; port 0 takes a free one.

    Raises
    ------
    SettingsError
        When the port cannot be listened on.
    """

    class Handler(_Handler):
        paths = _Paths(watchdog)

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} for metrics: {error.strerror}; give each process of a machine a "
            "port of its own in HEADRACE_METRICS_PORT, or 0 for none"
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


class _Paths:
    """Answers of the paths: a status and a text."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        self._registry = CollectorRegistry()
        self._registry.register(ProcessMetrics(watchdog))

    def metrics(self) -> tuple[int, str]:
        return 200, generate_latest(self._registry).decode()

    def readyz(self) -> tuple[int, str]:
        health = self._watchdog.health()
        if health.ready:
            return 200, "standby: another process is the owner\n" if health.is_standby else "ready\n"
        if not health.assigned:
            return 503, "no partitions are assigned yet\n"
        restoring = [f"{one.topic}[{one.partition}]" for one in health.partitions if one.position is None]
        return 503, f"restoring {', '.join(restoring)}\n"

    def healthz(self) -> tuple[int, str]:
        health = self._watchdog.health()
        waits = f"; waiting for {health.waiting_for}" if health.waiting_for else ""
        text = f"last checkpoint {health.checkpoint_age_s:.1f} s ago{waits}\n"
        return (200 if self._watchdog.alive else 503), text


class _Handler(BaseHTTPRequestHandler):
    paths: _Paths

    def do_GET(self) -> None:
        answers = {
            "/metrics": self.paths.metrics,
            "/readyz": self.paths.readyz,
            "/healthz": self.paths.healthz,
        }
        path = self.path.partition("?")[0]
        status, text = answers[path]() if path in answers else (404, f"there is {', '.join(answers)}\n")
        body = text.encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", CONTENT_TYPE_LATEST if path == "/metrics" else "text/plain; charset=utf-8"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes are not news."""
