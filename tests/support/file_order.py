"""With `pytest -n`: the files that take longest come first, so that none is left at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

_CACHED = "headrace/seconds of files"


def longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order files by what they took the last time; before them those that are new.

    Of these, first come those with servers, then those about the whole project, such as its packaging.
    Within a file nothing moves.
    """
    assert config.cache is not None
    seconds: Mapping[str, float] = config.cache.get(_CACHED, {})
    with_servers = {_file(item.nodeid) for item in items if item.get_closest_marker("server")}

    def place(item: pytest.Item) -> tuple[float, bool, int]:
        file = _file(item.nodeid)
        return -seconds.get(file, float("inf")), file not in with_servers, file.count("/")

    items.sort(key=place)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class FileDurations:
    """Adds up what every file takes, for the next time."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[_file(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        assert self._config.cache is not None
        self._config.cache.set(_CACHED, self._config.cache.get(_CACHED, {}) | self._seconds)
