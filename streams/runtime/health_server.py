"""The health of a process over HTTP: ``/metrics`` for Prometheus, ``/readyz`` and ``/healthz`` for probes.

Served from a thread, so that it answers when the event loop does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.schemas.errors import SettingsError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.intake.expectations import CHECKED
from headrace.streams.runtime.health import PartitionVitals, Sample, Vitals
from headrace.streams.runtime.watchdog import Overseer

_PLACE = ["topic", "partition"]


def oversee(kafka: Kafka, vitals: Callable[[], Vitals], stuck_s: float, host: str, port: int) -> None:
    """End this process when it stands still for `stuck_s` (see `Overseer`), and tell of it on a port.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    vitals
        Gives the vital signs; called from other threads.
    host, port
        Where to listen; port 0: nowhere.

    Raises
    ------
    SettingsError
        When that port cannot be had.
    """
    overseer = Overseer(kafka, vitals, stuck_s)
    if port:
        serve_health(host, port, overseer)
    overseer.start()


def serve_health(host: str, port: int, overseer: Overseer) -> ThreadingHTTPServer:
    """Answer from a thread of its own until the process ends; port 0 takes a free one.

    Raises
    ------
    SettingsError
        When that port cannot be had.
    """

    class Handler(_Handler):
        health = _Health(overseer)

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} for metrics: {error.strerror}; give each process of a machine a "
            "port of its own in HEADRACE_METRICS_PORT, or 0 for none"
        ) from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


class _Health:
    """What the paths answer: a status and a text."""

    def __init__(self, overseer: Overseer) -> None:
        self._overseer = overseer
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(overseer))

    def metrics(self) -> tuple[int, str]:
        return 200, generate_latest(self._registry).decode()

    def readyz(self) -> tuple[int, str]:
        vitals = self._overseer.vitals()
        if vitals.ready:
            return 200, "ready\n"
        if not vitals.assigned:
            return 503, "no partitions are assigned yet\n"
        left = [f"{one.topic}[{one.partition}]" for one in vitals.partitions if one.position is None]
        return 503, f"restoring {', '.join(left)}\n"

    def healthz(self) -> tuple[int, str]:
        vitals = self._overseer.vitals()
        waits = f"; waiting for {vitals.waiting_for}" if vitals.waiting_for else ""
        told = f"last checkpoint {vitals.checkpoint_age_s:.1f} s ago{waits}\n"
        return (200 if self._overseer.alive else 503), told


class _Handler(BaseHTTPRequestHandler):
    health: _Health

    def do_GET(self) -> None:
        answers = {
            "/metrics": self.health.metrics,
            "/readyz": self.health.readyz,
            "/healthz": self.health.healthz,
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


class _Collector(Collector):
    """Metrics as of the moment they are asked for."""

    def __init__(self, overseer: Overseer) -> None:
        self._overseer = overseer

    def collect(self) -> Iterator[Metric]:
        vitals = self._overseer.vitals()
        yield from self._of_process(vitals)
        yield from _families(vitals.samples)
        yield self._records(vitals)
        yield from self._expectations(vitals)
        ranges = CounterMetricFamily("headrace_ranges", "Ranges processed", labels=_PLACE)
        gauges = {
            "position": GaugeMetricFamily("headrace_position", "Next offset to process", labels=_PLACE),
            "lag": GaugeMetricFamily("headrace_lag", "Records not processed yet", labels=_PLACE),
            "freshness": GaugeMetricFamily(
                "headrace_freshness_seconds", "Wall clock minus the event time reached", labels=_PLACE
            ),
            "restored": GaugeMetricFamily(
                "headrace_restored_ratio", "Share of the changelog that is read", labels=_PLACE
            ),
            "keys": GaugeMetricFamily("headrace_keys", "Keys held", labels=_PLACE),
            "unfit": GaugeMetricFamily(
                "headrace_unfit_sums", "Sums that do not fit the type of their feature", labels=_PLACE
            ),
        }
        for one in vitals.partitions:
            place = [one.topic, str(one.partition)]
            ranges.add_metric(place, one.ranges)
            for name, value in self._values(one):
                gauges[name].add_metric(place, value)
        yield ranges
        yield from gauges.values()

    def _of_process(self, vitals: Vitals) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "headrace_checkpoint_age_seconds",
            "Since a checkpoint ended",
            value=vitals.checkpoint_age_s,
        )
        waiting = GaugeMetricFamily(
            "headrace_waiting", "Whether it is away and waited for", labels=["service"]
        )
        for service in ("redis", "schema registry"):
            waiting.add_metric([service], float(vitals.waiting_for == service))
        yield waiting

    def _records(self, vitals: Vitals) -> Metric:
        records = CounterMetricFamily(
            "headrace_records", "What became of the records of a partition", labels=[*_PLACE, "fate"]
        )
        for one in vitals.partitions:
            for fate, count in one.counts.items():
                records.add_metric([one.topic, str(one.partition), fate], count)
        return records

    def _expectations(self, vitals: Vitals) -> Iterator[Metric]:
        checked = CounterMetricFamily("headrace_checked", "Records checked for expectations", labels=_PLACE)
        failed = CounterMetricFamily(
            "headrace_unexpected", "Records that fail an expectation", labels=[*_PLACE, "expectation"]
        )
        for one in vitals.partitions:
            place = [one.topic, str(one.partition)]
            for rule, count in one.expectations.items():
                if rule == CHECKED:
                    checked.add_metric(place, count)
                else:
                    failed.add_metric([*place, rule], count)
        yield from (checked, failed)
        yield from self._rows(vitals)

    def _rows(self, vitals: Vitals) -> Iterator[Metric]:
        checked = CounterMetricFamily("headrace_checked_rows", "Rows checked as written", labels=["view"])
        failed = CounterMetricFamily(
            "headrace_unexpected_rows", "Rows that fail an expectation", labels=["view", "expectation"]
        )
        for view, counts in vitals.rows.items():
            for rule, count in counts.items():
                if rule == CHECKED:
                    checked.add_metric([view], count)
                else:
                    failed.add_metric([view, rule], count)
        yield from (checked, failed)

    def _values(self, one: PartitionVitals) -> Iterator[tuple[str, float]]:
        yield "restored", one.restoring.share if one.position is None else 1.0
        if one.keys is not None:
            yield "keys", one.keys
        if one.unfit_sums is not None:
            yield "unfit", one.unfit_sums
        if one.position is not None:
            yield "position", one.position
            if (end := self._overseer.ends.get(one.where)) is not None:
                yield "lag", max(0, end - one.position)
        if one.clock_ms is not None:
            yield "freshness", time.time() - one.clock_ms / 1000


def _families(samples: Iterable[Sample]) -> Iterable[Metric]:
    """Samples of one name together, as Prometheus wants them."""
    found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for one in samples:
        if one.name not in found:
            family = CounterMetricFamily if one.grows else GaugeMetricFamily
            found[one.name] = family(f"headrace_{one.name}", one.meaning, labels=list(one.labels))
        found[one.name].add_metric(list(one.labels.values()), one.value)
    return found.values()
