from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fuzz_scene import FuzzScene


@pytest.fixture
def scene(
    kafka_bootstrap: str, redis_url: str, registry_url: str, project: str, tmp_path: Path
) -> Iterator[FuzzScene]:
    made = FuzzScene(kafka_bootstrap, redis_url, registry_url, project, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("fuzz_seed"))
