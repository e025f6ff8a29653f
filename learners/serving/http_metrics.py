"""Prometheus metrics that every service over HTTP has."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from headrace.streams.runtime.health import PlanHealth


class HttpMetrics:
    """Requests and the plan, in a registry of their own, so that a process can hold several apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_http_requests", "HTTP requests", ["path", "status"], registry=self.registry
        )
        self._plan = Gauge(
            "headrace_plan", "Hash of the plan of the process", ["plan"], registry=self.registry
        )
        self._replaced = Gauge(
            "headrace_plan_replaced", "Whether another plan is in force", registry=self.registry
        )

    def rendered(self, plan: PlanHealth) -> bytes:
        """Render all metrics in Prometheus' text format."""
        self._plan.labels(plan.plan).set(1)
        self._replaced.set(plan.replaced_by is not None)
        return generate_latest(self.registry)
