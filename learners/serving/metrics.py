"""Prometheus metrics of the router service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from headrace.learners.serving.http_metrics import HttpMetrics
from headrace.learners.serving.live import Live
from headrace.streams.runtime.health import PlanHealth

_SECONDS = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class ServiceMetrics(HttpMetrics):
    """Of routers, besides those of every service."""

    def __init__(self) -> None:
        super().__init__()
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
        self.untrained = Counter(
            "headrace_untrained_answers",
            "Answers of a model that has learned nothing",
            ["router", "arm"],
            registry=self.registry,
        )
        self._untrained = Gauge(
            "headrace_model_untrained",
            "1: the serving model has learned nothing",
            ["arm"],
            registry=self.registry,
        )
        self._epoch = Gauge("headrace_epoch", "Epoch in force", ["router"], registry=self.registry)

    def exposition(self, live: dict[str, Live], plan: PlanHealth) -> bytes:
        """Render all metrics in Prometheus' text format, with the state of the routers as it is now."""
        for router, state in live.items():
            self._epoch.labels(router).set(state.epoch.epoch)
            for arm in state.arms:
                self._propensity.labels(router, arm.name).set(state.epoch.propensities[arm.name])
                self._offset.labels(arm.name).set(arm.offset)
                self._untrained.labels(arm.name).set(arm.is_untrained)
        return self.rendered(plan)
