from __future__ import annotations

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.child import free_port
from schemas.errors import SettingsError
from streams.health_server import serve_health
from streams.overseer import Overseer
from streams.vitals import PartitionVitals, Sample, Vitals


def overseer_of(*samples: Sample) -> Overseer:
    parts = (PartitionVitals("clicks", 0, 5, clock_ms=1000, counts={"applied": 5}),)
    return Overseer("127.0.0.1:1", lambda: Vitals(parts, True, 0.5, samples=samples), 60)


def test_samples_of_one_name_are_one_metric_and_what_grows_is_a_counter() -> None:
    port = free_port()
    fates = [
        Sample("outcomes", "What became", {"fate": fate}, n) for n, fate in enumerate(("late", "orphan"))
    ]
    server = serve_health("127.0.0.1", port, overseer_of(*fates, Sample("learned", "L", {}, 7, grows=True)))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    finally:
        server.shutdown()
        server.server_close()
    assert [(s.labels["fate"], s.value) for s in found["headrace_outcomes"].samples] == [
        ("late", 0),
        ("orphan", 1),
    ]
    assert (found["headrace_learned"].type, found["headrace_learned"].samples[0].value) == ("counter", 7)
    assert found["headrace_position"].samples[0].value == 5
    assert found["headrace_keys"].samples == []


def test_a_port_that_is_taken_is_named_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} for metrics: .*HEADRACE_METRICS_PORT"):
            serve_health("127.0.0.1", port, overseer_of())
