"""Real servers for the tests, and a project of their own for each of them.

`make test` shares the files out to processes: Kafka and the registry are common, a Redis each has of its own.
"""

from __future__ import annotations

import os

# Tests run side by side, and so do the processes that they start: threads of numpy's and scikit-learn's own
# would only wait for one another's cores. Both read this when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A clock half an hour off the full one, with summer time: local time must not be in anything.
os.environ["TZ"] = "America/St_Johns"
# Feast sets these as it is imported, also in who hands out the tests: counters would be shared by name.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
os.environ.pop("PROMETHEUS_MULTIPROCESS_DIR", None)

import gc
import signal
import time
import uuid
from collections.abc import Generator, Iterator
from typing import Any

import prometheus_client.values  # noqa: F401 (before Feast, which has counters shared by a process)
import pytest

import headrace.deploy.local.child
import headrace.featurestore.feast_repo.fast_import
from headrace.deploy.local.redis_server import RedisServer
from tests.support import server_guard
from tests.support.file_order import FileDurations, longest_first
from tests.support.properties import register_profiles
from tests.support.shared_servers import SharedServers, address_of

# A suite that is started in the background is told to ignore Ctrl-C, and so would be all that it starts; some
# tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# What is imported and collected stays: nothing of it is garbage.
gc.disable()
time.tzset()
server_guard.watch()
register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seed", type=int, default=1, help="of the records and requests that are made up")
    parser.addoption("--fuzz-count", type=int, default=20_000, help="records to each topic in large rounds")


def pytest_configure(config: pytest.Config) -> None:
    """The process that hands out the tests to others, if there is one, has their servers."""
    if config.getoption("numprocesses", None) and not _is_one_of_many(config):
        gc.enable()  # here nothing is collected
        shared = SharedServers()
        shared.start()
        config.add_cleanup(shared.stop)
        config.pluginmanager.register(FileDurations(config))


def _is_one_of_many(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_collection_finish() -> None:
    """Look for garbage among what comes from here on, and more rarely than Python does by default."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses servers, whether by the fixtures of this file or by those of its own."""
    for item in items:
        if _uses_servers(item):
            item.add_marker("server")
    if _is_one_of_many(config):
        longest_first(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    server_guard.allow(_uses_servers(item))
    return (yield)


def _uses_servers(item: pytest.Item) -> bool:
    return server_guard.FIXTURE in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def servers() -> None:
    """Whoever starts a server, or a process that does, asks for this (see `tests.support.server_guard`)."""


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: None) -> Iterator[str]:
    """Address of a real Apache Kafka: HEADRACE_TEST_KAFKA, else one that is started."""
    with address_of("kafka") as address:
        yield address


@pytest.fixture(scope="session")
def registry_url(servers: None) -> Iterator[str]:
    """URL of a real schema registry: HEADRACE_TEST_REGISTRY, else an Apicurio that is started."""
    with address_of("registry") as address:
        yield address


@pytest.fixture(scope="session")
def redis_url(servers: None) -> Iterator[str]:
    """URL of a real Redis: HEADRACE_TEST_REDIS, else one started for this session. Tests share it, and
    keep apart by `project`."""
    given = os.environ.get("HEADRACE_TEST_REDIS")
    if given:
        yield given
        return
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def project() -> str:
    """A project name nobody else has: topics, consumer groups and Redis keys of a test bear it."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def free_port() -> int:
    """A free loopback port."""
    return headrace.deploy.local.child.free_port()
