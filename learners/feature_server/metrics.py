"""Prometheus metrics of the feature server."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from headrace.learners.serving.http_metrics import HttpMetrics

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class FeatureMetrics(HttpMetrics):
    """Of features, besides those of every service."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Counter("headrace_feature_rows", "Entity rows answered", registry=self.registry)
        self.pushed_rows = Counter(
            "headrace_feature_pushed_rows", "Pushed rows written, by view each", registry=self.registry
        )
        self.seconds = Histogram(
            "headrace_feature_seconds", "Time per request", buckets=_SECONDS, registry=self.registry
        )
