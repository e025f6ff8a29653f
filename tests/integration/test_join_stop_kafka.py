"""SIGTERM to a join that is not where it was yet: it ends at once, and nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.join_oracle import M, O, P
from tests.support.join_scene import Loop, a_log, oracles
from tests.support.process_health import wait_until_restoring
from tests.support.waiting import PATIENCE_S


def test_a_join_stops_while_it_reads_its_changelog(loop: Callable[..., Loop], free_port: int) -> None:
    log = a_log(800, seed=12)
    first = loop()
    for event in log[:-30]:
        first.send_event(event)
    first.wait()
    first.join.kill()
    for event in log[-30:]:
        first.send_event(event)
    first.producer.flush()
    stalled = loop(program="stalled_join", metrics_port=free_port)
    wait_until_restoring(free_port)
    assert stalled.join.stop(PATIENCE_S) == 0
    assert_goes_on_as_the_oracle(first, log)


def assert_goes_on_as_the_oracle(run: Loop, log: list[P | O | M]) -> None:
    run.join.start()
    run.wait()
    for partition, oracle in enumerate(oracles(log, "first", "negative")):
        closed = sorted(c.prediction.prediction_id for c in run.closings(partition))
        assert closed == sorted(row[0] for row in oracle.closings)
