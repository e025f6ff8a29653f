"""Whatever is sent to any topic, the processes run on, count every record, and do their work.

Changelogs are read at a start alone, and damage there is refused: `test_damaged_changelogs.py`.
"""

from __future__ import annotations

import time

import pytest

from tests.support.fuzz_scene import FuzzScene
from tests.support.topic_fuzz import TopicFuzz, odd_times


def send_to_all(scene: FuzzScene, fuzz: TopicFuzz, topics: list[str], count: int) -> None:
    any_time = scene.plan.source("orders").topic
    for topic in topics:
        began = time.monotonic()
        fuzz.send(topic, count, odd_times(time.time_ns() // 1_000_000) if topic == any_time else (0,))
        print(f"{topic}: {count:,} records in {time.monotonic() - began:.1f} s", flush=True)
        scene.assert_alive()


@pytest.mark.parametrize("size", ["small", pytest.param("large", marks=pytest.mark.faults)])
def test_no_record_and_no_request_ends_a_process(
    scene: FuzzScene, seed: int, size: str, request: pytest.FixtureRequest
) -> None:
    count = 150 if size == "small" else int(request.config.getoption("fuzz_count"))
    scene.start()
    scene.work("before")
    topics, before = scene.topics, scene.epoch("own")
    fuzz = TopicFuzz(scene.bootstrap, topics, seed)
    send_to_all(scene, fuzz, [name for name in topics if "changelog" not in name], count)
    statuses = scene.ask_anything(count // 10, seed)
    scene.work("after")
    assert not [status for status in statuses if status >= 500], statuses
    print(dict(scene.assert_counts_add_up()), dict(statuses))
    scene.assert_commands_read()
    if size == "large":
        scene.wait_for_epoch_after("own", before)
