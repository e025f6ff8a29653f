"""The metrics of a service show the state of its routers at the moment they are asked for."""

from __future__ import annotations

from headrace.learners.serving.live import Live, LiveArm
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.schemas.records import Epoch
from headrace.streams.runtime.health import PlanHealth


def live(epoch: int, **offsets: int) -> Live:
    share = 1 / len(offsets)
    arms = tuple(LiveArm(name, None, "1.0", offset, None) for name, offset in offsets.items())  # type: ignore[arg-type]
    vector = dict.fromkeys(offsets, share)
    return Live(
        arms,
        Epoch(
            router="delays",
            epoch=epoch,
            ts_ms=0,
            offset=0,
            propensities=vector,
            posteriors={},
            plan_hash="h",
        ),
    )


def test_epochs_propensities_and_prefixes_are_those_of_now() -> None:
    metrics = ServiceMetrics()
    metrics.exposition({"delays": live(3, tree=10, base=20)}, PlanHealth("h"))
    shown = metrics.exposition({"delays": live(4, tree=15, base=20)}, PlanHealth("h", "i")).decode()
    assert 'headrace_epoch{router="delays"} 4.0' in shown
    assert 'headrace_plan{plan="h"} 1.0' in shown
    assert "headrace_plan_replaced 1.0" in shown
    assert 'headrace_propensity{arm="tree",router="delays"} 0.5' in shown
    assert 'headrace_model_offset{arm="tree"} 15.0' in shown
    assert 'headrace_model_offset{arm="base"} 20.0' in shown
    assert 'headrace_model_untrained{arm="base"} 1.0' in shown


def test_two_services_of_a_process_count_apart() -> None:
    first, second = ServiceMetrics(), ServiceMetrics()
    first.requests.labels("/v1/predict", "200").inc()
    counted = 'headrace_http_requests_total{path="/v1/predict",status="200"} 1.0'
    assert counted in first.exposition({}, PlanHealth("h")).decode()
    assert counted not in second.exposition({}, PlanHealth("h")).decode()
