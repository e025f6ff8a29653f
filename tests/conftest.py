"""Real servers for the tests, and a project of their own for each of them.

`make test` shares the files out to processes, each of which is a session with servers of its own.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator

import pytest

import headrace.deploy.local.child
import headrace.featurestore.feast_repo.fast_import
from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.local.registry_server import RegistryServer
from tests.support.paths import ROOT

# A suite that is started in the background is told to ignore Ctrl-C, and so would be all that it starts; some
# tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Address of a real Apache Kafka: HEADRACE_TEST_KAFKA, else one started for this session."""
    given = os.environ.get("HEADRACE_TEST_KAFKA")
    if given:
        yield given
        return
    with KafkaServer(cache=ROOT / ".cache" / "kafka") as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def registry_url() -> Iterator[str]:
    """URL of a real schema registry: HEADRACE_TEST_REGISTRY, else an Apicurio started for this session."""
    given = os.environ.get("HEADRACE_TEST_REGISTRY")
    if given:
        yield given
        return
    with RegistryServer(cache=ROOT / ".cache" / "registry") as server:
        yield server.url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
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
