"""A process whose disk is full ends with one line that says what to do; the next one goes on."""

from __future__ import annotations

from pathlib import Path

from headrace.streams.runtime.app import EXIT_FAILED
from tests.support.command_scene import CommandScene


def test_a_worker_whose_feature_log_cannot_be_written_says_so_in_one_line(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path
) -> None:
    scene = CommandScene(tmp_path, project, kafka_bootstrap, redis_url)
    scene.produce(6)
    ran = scene.run("worker", last=0, how="fail", matching="event_day=2023")
    (told,) = [line for line in ran.printed.splitlines() if "CRITICAL" in line]
    assert "exiting so that nothing is skipped" in told
    assert told.endswith("cannot be written: No space left on device; make room, and run it again")
    assert ran.status == EXIT_FAILED
    assert "Traceback" not in ran.printed
    assert scene.rows()["user_clicks__clicks_1h"] != [None] * 5  # rows come before the log
    assert scene.run("compact").status == 0
