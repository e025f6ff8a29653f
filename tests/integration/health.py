"""Asking a process for its health over HTTP."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError, URLError

from prometheus_client.parser import text_string_to_metric_families

Values = dict[tuple[str, ...], float]


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
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


def wait_for_metric(
    port: int, name: str, good: Callable[[Values], Any], timeout_s: float = 180.0
) -> dict[str, Values]:
    """The metrics once one of them is as it should be: they are looked up now and then."""
    deadline = time.monotonic() + timeout_s
    while not good((told := metrics(port)).get(name, {})):
        assert time.monotonic() < deadline, (name, told.get(name))
        time.sleep(0.1)
    return told


def wait_until_ready(port: int, timeout_s: float = 180.0) -> None:
    """Until ``/readyz`` says so; before, it answers 503, or not yet."""
    deadline = time.monotonic() + timeout_s
    while (answer := ask(port, "/readyz"))[0] != 200:
        assert answer[0] in (0, 503), answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
