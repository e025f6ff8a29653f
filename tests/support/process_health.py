"""Asking a process for its health over HTTP."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import PATIENCE_S, eventually

EXIT_FAILED = 70
STUCK_S = 8.0  # hardly a machine stops for so long, and a test can wait for it
Values = dict[tuple[str, ...], float]


def wait_until_restoring(port: int) -> None:
    """Until a part of a changelog has been read, and not all of it."""
    wait_for_metric(
        port, "headrace_restored_ratio", lambda told: any(0 < share < 1 for share in told.values())
    )


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except URLError:
        return 0, ""  # does not listen yet


def metrics(port: int) -> dict[str, Values]:
    """Sample name to label values, such as (topic, partition, fate): by the labels' names, last first."""
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(ask(port, "/metrics")[1]):
        for sample in family.samples:
            labels = (value for _, value in sorted(sample.labels.items(), reverse=True))
            found.setdefault(sample.name, {})[tuple(labels)] = sample.value
    return found


def wait_for_metric(port: int, name: str, good: Callable[[Values], Any]) -> dict[str, Values]:
    """The metrics once one of them is as it should be: they are looked up now and then."""
    told: dict[str, Values] = {}

    def look() -> Values:
        nonlocal told
        told = metrics(port)
        return told.get(name, {})

    eventually(look, f"another {name}", good)
    return told


def wait_until_ready(port: int) -> None:
    """Until ``/readyz`` says so; before, it answers 503, or not yet."""
    status, told = eventually(
        lambda: ask(port, "/readyz"), "a process that is ready", lambda answer: answer[0] not in (0, 503)
    )
    assert status == 200, told


def wait_until_idle_for_redis(port: int) -> None:
    """Until nothing has been done for longer than `STUCK_S`, and still the process says that it lives."""
    wait_for_metric(port, "headrace_waiting", lambda waiting: waiting.get(("redis",)) == 1)
    wait_for_metric(port, "headrace_checkpoint_age_seconds", lambda age: age.get((), 0) > 1.2 * STUCK_S)
    status, told = ask(port, "/healthz")
    assert (status, told.endswith("waiting for redis\n")) == (200, True)
    assert sum(metrics(port)["headrace_lag"].values()) > 0


def assert_tells_of_a_standstill(log_file: Path) -> None:
    told = log_file.read_text()
    assert "makes no progress: it stands at offset" in told or "no checkpoint has ended for" in told
