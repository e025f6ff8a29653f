"""Definitions that change under workers on real Kafka: what `plan` says is kept is kept; the way back."""

from __future__ import annotations

import random
import re
from typing import Any

from headrace.deploy.commands.topics import ensure_topics
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.usage import NoUsage
from headrace.schemas.feature_specs import ExpectationSpec
from headrace.schemas.plan import Plan
from headrace.streams.worker.rebuild import Rebuild
from tests.support.waiting import PATIENCE_S
from tests.support.worker_scene import Scene


def with_source(plan: Plan, **update: Any) -> Plan:
    return plan.model_copy(update={"sources": (plan.sources[0].model_copy(update=update),)})


def put_in_force(scene: Scene, plan: Plan) -> list[int]:
    """What `apply` and new workers do. Returns how many records each of their changelogs restored."""
    for worker in scene.running():
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0
    ensure_topics(scene.bootstrap, plan)
    scene.plan = plan
    scene.plan_file.write_text(plan.to_json())
    before = len(scene.log_file.read_text())
    scene.start_worker()
    scene.wait()
    restored = re.findall(r"restored (\d+) records", scene.log_file.read_text()[before:])
    return [int(number) for number in restored]


def test_what_plan_says_is_kept_is_kept_and_the_way_back_leads_to_the_rows_of_before(scene: Scene) -> None:
    rng, plan = random.Random(5), scene.plan
    counted = with_source(plan, expectations=(ExpectationSpec(field="items", least=0),))
    stricter = with_source(counted, late_tiles=5)  # of 10 ms: what comes 150 ms late is too late now
    scene.start_worker()
    scene.produce_random(rng, 400)
    scene.wait()
    scene.wait_for_checkpoint()

    assert "cost" not in report(plan, counted, NoUsage())
    restored = put_in_force(scene, counted)
    assert all(restored), restored
    scene.produce_random(rng, 100)
    scene.wait()
    scene.assert_equals_oracle()
    scene.wait_for_checkpoint()

    told = report(counted, stricter, NoUsage())
    assert "is read from its beginning" in told
    assert "then run `headrace rebuild`" in told
    put_in_force(scene, stricter)
    scene.produce_random(rng, 100)
    scene.wait()
    scene.assert_equals_oracle()
    scene.wait_for_checkpoint()

    restored = put_in_force(scene, counted)
    assert all(restored), restored
    scene.wait_for_checkpoint()
    for worker in scene.running():
        worker.terminate()
        worker.wait(PATIENCE_S)
    store = RedisRebuildStore(scene.redis_url, counted)
    written = Rebuild(counted, scene.bootstrap, store, 2.0, 3_600_000, print).run()
    assert written["older"], "rows that no event had touched were those of the stricter definition"
    scene.assert_equals_oracle()
