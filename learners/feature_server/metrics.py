"""Prometheus metrics of the feature server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from headrace.streams.runtime.health import PlanHealth

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class FeatureMetrics:
    """In a registry of their own, so that a process can hold several apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_http_requests", "HTTP requests", ["path", "status"], registry=self.registry
        )
        self.rows = Counter("headrace_feature_rows", "Entity rows answered", registry=self.registry)
        self.seconds = Histogram(
            "headrace_feature_seconds", "Time per request", buckets=_SECONDS, registry=self.registry
        )
        self._plan = Gauge(
            "headrace_plan", "Hash of the plan of the process", ["plan"], registry=self.registry
        )
        self._replaced = Gauge(
            "headrace_plan_replaced", "Whether another plan is in force", registry=self.registry
        )

    def exposition(self, plan: PlanHealth) -> bytes:
        """Render all metrics in Prometheus' text format."""
        self._plan.labels(plan.plan).set(1)
        self._replaced.set(plan.replaced_by is not None)
        return generate_latest(self.registry)
