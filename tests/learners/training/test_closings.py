"""The consumer of closings: epochs in their topic and Redis, and what a restart makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Producer

from headrace.learners.models.pointers import ModelPointers, epochs_key
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.training import closings as closings_module
from headrace.learners.training.changelog import epochs_key as epochs_key_of
from headrace.learners.training.closings import ClosingConsumer
from headrace.learners.training.past import Past
from headrace.schemas.event_times import LATEST_MS
from headrace.schemas.records import Closing, Epoch
from headrace.schemas.router_specs import PolicySpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import EPOCHS, ProgressStore
from tests.support.flight_learners import HOUR_MS, closings, flights
from tests.support.messages import mark, record
from tests.support.training_log import Log
from tests.support.waiting import PATIENCE_S

QUALITY = {"base": 0.55, "static": 0.6, "streaming": 0.8, "crossed": 0.62, "tree": 0.5}


class Scene:
    """A router whose closings, in one partition, are handed over one by one."""

    def __init__(self, redis_url: str, project: str, folder: Path) -> None:
        self.plan, _ = flights(folder, project)
        self.router = self.plan.routers[0]
        self.topic = RouterTopics(project, "delays").closings
        self.redis = redis.Redis.from_url(redis_url)
        self.pointers = ModelPointers(self.redis, project)
        self.epochs_topic = RouterTopics(project, "delays").epochs
        self.log = Log(project, self.epochs_topic, self.topic)
        self.out = self.log.open()

    def consumer(self, **changes: Any) -> ClosingConsumer:
        """One that goes on from what the log has."""
        router = self.router.model_copy(update=changes)
        self.out = self.log.open()
        state = self.log.state().epochs.get(router.name)
        past = Past(self.log.bootstrap, self.plan)
        return ClosingConsumer(self.plan, router, state, 1, self.out, self.pointers, past)

    def closings(self, count: int) -> list[Closing]:
        return list(closings(self.plan, count, QUALITY))

    def feed(self, consumer: ClosingConsumer, found: list[Closing], first: int = 0) -> None:
        for offset, closing in enumerate(found, first):
            consumer.take(record(self.topic, offset, closing.to_bytes()))

    def in_force(self) -> Epoch:
        epoch = self.pointers.read(self.router).epoch
        assert epoch is not None
        return epoch

    def prefix(self) -> int:
        progress = ProgressStore(self.redis, self.plan).read()
        return progress["train", self.topic, 0, EPOCHS].next_offset

    def epochs(self) -> list[Epoch]:
        return [Epoch.model_validate_json(value) for value in self.log.read(self.epochs_topic)]


@pytest.fixture
def scene(redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(redis_url, project, tmp_path)
    yield scene
    scene.log.close()


def test_the_first_epoch_is_in_force_before_any_closing(scene: Scene) -> None:
    consumer = scene.consumer()
    consumer.begin()
    assert (scene.in_force().epoch, scene.prefix()) == (0, 0)
    assert scene.epochs() == []


def test_an_epoch_that_is_complete_is_written_kept_and_put_in_force(scene: Scene) -> None:
    consumer = scene.consumer()
    consumer.begin()
    scene.feed(consumer, scene.closings(70))
    assert scene.in_force().epoch == 0
    consumer.tick()
    (epoch,) = scene.epochs()
    assert scene.in_force() == epoch
    assert (epoch.epoch, scene.prefix()) == (1, 70)
    samples = {sample.name: (sample.labels, sample.value) for sample in consumer.samples()}
    assert samples["train_epoch"] == ({"router": "delays"}, 1)


def test_a_restart_goes_on_from_the_log_to_the_same_epochs(scene: Scene) -> None:
    found = scene.closings(200)
    keeper = EpochKeeper(scene.router, scene.plan.hash, 1)
    expected = [epoch for offset, closing in enumerate(found) for epoch in keeper.take(0, offset, closing)]
    first = scene.consumer()
    scene.feed(first, found[:90])
    first.tick()
    second = scene.consumer()
    second.begin()
    assert scene.in_force() == expected[0]
    # The state is as of an epoch: records behind it are read, and counted, again.
    scene.feed(second, found[second.offset(0) :], second.offset(0))
    second.tick()
    assert scene.epochs() == expected
    assert second.offset(0) == 200


def test_of_other_evidence_the_epoch_of_before_stays_in_force_until_as_many_closings_are_read(
    scene: Scene,
) -> None:
    consumer, found = scene.consumer(), scene.closings(130)
    scene.feed(consumer, found)
    consumer.tick()
    before = scene.in_force()
    assert before.epoch == 2
    changed = scene.consumer(reward="accuracy")
    changed.begin()
    assert (changed.offset(0), scene.in_force()) == (0, before)
    consumer.tick()
    scene.feed(changed, found[:70])
    changed.tick()
    assert scene.in_force() == before
    scene.feed(changed, found)
    changed.tick()
    after = scene.in_force()
    assert [epoch.epoch for epoch in scene.epochs()] == [1, 2, 3, 4, 5]  # 3: of no evidence
    assert after == scene.epochs()[-1]
    back = scene.consumer()
    back.begin()
    assert scene.in_force() == after
    scene.feed(back, found)
    back.tick()
    assert (scene.in_force().epoch, scene.in_force().propensities) == (8, before.propensities)


def test_without_its_state_the_last_epoch_stays_in_force_until_the_closings_are_read_again(
    scene: Scene,
) -> None:
    consumer, found = scene.consumer(), scene.closings(130)
    scene.feed(consumer, found)
    consumer.tick()
    before = scene.in_force()
    scene.log.forget(epochs_key_of("delays"))
    producer = Producer({"bootstrap.servers": scene.log.bootstrap})
    for closing in found:
        producer.produce(scene.topic, closing.to_bytes(), partition=0)
    assert producer.flush(PATIENCE_S) == 0
    again = scene.consumer()
    again.begin()
    scene.feed(again, found[:70])
    again.tick()
    assert scene.in_force() == before
    scene.feed(again, found)
    again.tick()
    assert (scene.in_force().epoch, scene.in_force().propensities) == (5, before.propensities)
    assert [epoch.epoch for epoch in scene.epochs()] == [1, 2, 3, 4, 5]


def test_other_arms_leave_the_evidence_and_the_next_epoch_follows_at_once(scene: Scene) -> None:
    consumer = scene.consumer()
    scene.feed(consumer, scene.closings(130))
    consumer.tick()
    before, arms = scene.in_force(), scene.router.arms
    fewer = scene.consumer(arms=tuple(arm for arm in arms if arm != "tree"))
    fewer.begin()
    kept = {arm: share for arm, share in before.propensities.items() if arm != "tree"}
    total = sum(kept.values())
    after = scene.in_force()
    assert (after.epoch, fewer.offset(0)) == (3, 130)
    assert after.propensities == pytest.approx({arm: share / total for arm, share in kept.items()})
    again = scene.consumer()
    again.begin()
    assert scene.in_force().propensities["tree"] == 0.05
    assert [epoch.epoch for epoch in scene.epochs()] == [1, 2, 3, 4]


def test_a_redis_that_lost_everything_gets_the_epoch_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closings_module, "REPEAT_S", 0.0)
    consumer = scene.consumer()
    scene.feed(consumer, scene.closings(70))
    consumer.tick()
    before = scene.in_force()
    scene.redis.delete(epochs_key(scene.plan.project))
    consumer.tick()
    assert scene.in_force() == before


def test_what_is_no_closing_is_a_dead_letter_and_passed(scene: Scene) -> None:
    consumer = scene.consumer()
    consumer.take(record(scene.topic, 0, b"no closing"))
    scene.out.commit()
    scene.consumer().take(record(scene.topic, 0, b"no closing"))  # is read again, and told once
    scene.out.commit()
    (dead_letter,) = scene.log.dead_letters()
    assert (dead_letter.topic, dead_letter.offset, dead_letter.kind) == (scene.topic, 0, "malformed")
    assert dead_letter.reason.startswith("no Closing:")
    assert consumer.offset(0) == 1


def test_a_mark_moves_the_clock_and_a_record_without_anything_only_the_offset(scene: Scene) -> None:
    consumer, found = scene.consumer(), scene.closings(3)
    scene.feed(consumer, found)
    consumer.take(record(scene.topic, 3, None))
    consumer.tick()
    assert (consumer.offset(0), scene.epochs(), consumer.refused) == (4, [], 1)
    consumer.take(mark(scene.topic, 4, found[-1].prediction.ts_ms + scene.router.wait_ms + HOUR_MS))
    consumer.tick()
    assert (consumer.offset(0), len(scene.epochs())) == (5, 1)


NORMAL = PolicySpec(posterior="normal")
ODD = [
    ({"reward": "label"}, {"label": -5.0}, "invalid", "the reward of arm"),
    ({}, {"label": 1e200}, "malformed", "label.number: Input should be less than"),
    ({}, {"scores": {"base": 1e200}}, None, ""),  # of a Brier score that is kept within 0 and 1
    ({"policy": NORMAL}, {"scores": {"base": 1e200}}, "invalid", "the reward of arm 'base' is -inf"),
    ({}, {"ts_ms": LATEST_MS}, "invalid", "is not between the years"),
    ({}, {"ts_ms": 10**18}, "malformed", "ts_ms: Input should be less than"),
]


@pytest.mark.parametrize(("rules", "changes", "kind", "reason"), ODD)
def test_a_closing_that_a_fold_cannot_digest_is_a_dead_letter_and_its_neighbours_make_the_epoch(
    scene: Scene, rules: dict[str, Any], changes: dict[str, Any], kind: str | None, reason: str
) -> None:
    consumer, found = scene.consumer(**rules), scene.closings(70)
    raw = json.loads(found[0].to_bytes())
    for name, value in changes.items():
        if name == "label":
            raw["label"] = value
        else:
            raw["prediction"] |= {name: value, "chosen": "base"}
    consumer.take(record(scene.topic, 0, json.dumps(raw).encode()))
    scene.feed(consumer, found[1:], 1)
    consumer.tick()
    letters = scene.log.dead_letters()
    assert [one.kind for one in letters] == ([] if kind is None else [kind])
    assert all(reason in one.reason for one in letters)
    assert consumer.refused == len(letters)
    assert [(epoch.epoch, propensity_fault(epoch.propensities)) for epoch in scene.epochs()] == [(1, None)]


@pytest.mark.parametrize("time_ms", [10**20, LATEST_MS, -(10**15)])
def test_a_mark_of_an_absurd_time_moves_no_clock(scene: Scene, time_ms: int) -> None:
    consumer = scene.consumer()
    scene.feed(consumer, scene.closings(3))
    consumer.take(mark(scene.topic, 3, time_ms))
    consumer.tick()
    assert (consumer.offset(0), consumer.refused, scene.epochs()) == (4, 1, [])
