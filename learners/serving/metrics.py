"""Prometheus metrics of the router service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from headrace.learners.serving.live_models import Live
from headrace.streams.runtime.health import PlanHealth

_SECONDS = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class ServiceMetrics:
    """Counters, gauges and histograms in a registry of their own, so that a process can hold several apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "headrace_http_requests", "HTTP requests", ["path", "status"], registry=self.registry
        )
        self.predictions = Counter(
            "headrace_predictions", "Predictions by drawn arm", ["router", "arm"], registry=self.registry
        )
        self.fallbacks = Counter(
            "headrace_fallbacks", "Answers of another arm", ["router", "fallback"], registry=self.registry
        )
        self.arm_errors = Counter(
            "headrace_arm_errors", "Models that raised", ["router", "arm"], registry=self.registry
        )
        self.load_errors = Counter(
            "headrace_model_load_errors", "Versions not loaded", ["arm"], registry=self.registry
        )
        self.epoch_errors = Counter(
            "headrace_epoch_errors", "Epochs that may not serve", ["router"], registry=self.registry
        )
        self.feature_errors = Counter(
            "headrace_feature_errors", "Batches whose features could not be read", registry=self.registry
        )
        self.unlogged = Counter(
            "headrace_unlogged", "Records the log did not acknowledge", ["topic"], registry=self.registry
        )
        self.seconds = Histogram(
            "headrace_predict_seconds", "Time per request", ["part"], buckets=_SECONDS, registry=self.registry
        )
        self._propensity = Gauge(
            "headrace_propensity", "Probability of choosing", ["router", "arm"], registry=self.registry
        )
        self._offset = Gauge(
            "headrace_model_offset", "Examples the serving model stands for", ["arm"], registry=self.registry
        )
        self._plan = Gauge(
            "headrace_plan", "Hash of the plan of the process", ["plan"], registry=self.registry
        )
        self._replaced = Gauge(
            "headrace_plan_replaced", "Whether another plan is in force", registry=self.registry
        )
        self._epoch = Gauge("headrace_epoch", "Epoch in force", ["router"], registry=self.registry)

    def exposition(self, live: dict[str, Live], plan: PlanHealth) -> bytes:
        """Render all metrics in Prometheus' text format, with the state of the routers as it is now."""
        self._plan.labels(plan.plan).set(1)
        self._replaced.set(plan.replaced_by is not None)
        for router, state in live.items():
            self._epoch.labels(router).set(state.epoch.epoch)
            for arm in state.arms:
                self._propensity.labels(router, arm.name).set(state.epoch.propensities[arm.name])
                self._offset.labels(arm.name).set(arm.offset)
        return generate_latest(self.registry)
