"""With `pytest -n`: an order of files in which the machine is never idle, and none is left at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

_CACHED = "headrace/seconds of files"
_SERVERS_UNTIL = 0.85  # those with servers have begun when so much of the others has: they take longer


def side_by_side(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order files so that at every moment some wait for servers, while others need the processor.

    Of both kinds the longest come first, as they were the last time, so that none is left at the end. Before
    them come those that are new: first what is about the whole project, such as its packaging. Within a file
    nothing moves.
    """
    assert config.cache is not None
    seconds: Mapping[str, float] = config.cache.get(_CACHED, {})
    with_servers = {_file(item.nodeid) for item in items if item.get_closest_marker("server")}
    files = dict.fromkeys(_file(item.nodeid) for item in items)
    in_order = sorted(files, key=lambda file: (-seconds.get(file, float("inf")), file.count("/")))
    places: dict[str, float] = {}
    for until, kind in (
        (_SERVERS_UNTIL, [file for file in in_order if file in with_servers]),
        (1.0, [file for file in in_order if file not in with_servers]),
    ):
        places |= {file: until * place / len(kind) for place, file in enumerate(kind)}
    items.sort(key=lambda item: places[_file(item.nodeid)])


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
