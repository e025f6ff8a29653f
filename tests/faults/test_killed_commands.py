"""Commands of several steps are killed at each of their effects, and run again: the end is the same.

What an effect is, `tests.support.effects` finds beneath the commands: a new step is killed by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from feast import FeatureStore

from headrace.deploy.commands.dead_letters import DeadLetterLog, Selection
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.processes import current_plan
from headrace.schemas.dead_letter import DeadLetter
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.join.config import join_group
from headrace.streams.join.restore import restore_join
from headrace.streams.log.group_offsets import committed_offsets, set_offsets
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import LogRecord
from headrace.streams.worker.consumer_group import worker_group
from tests.support.clicks_project import NOON_MS
from tests.support.command_scene import (
    BY_PRICE,
    KILLED,
    PARTITIONS,
    CommandScene,
    Kept,
    Ran,
    ends_of_runs,
    new_folder,
    sample,
)
from tests.support.effects import FILES, KAFKA, How
from tests.support.join_builders import a_prediction, an_outcome
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S

SAMPLED = ("apply", "backfill", "compact", "reset")  # in `make test`, killed once
BACKFILL = ("backfill", "user_clicks", "--processes", "1")


@dataclass(frozen=True)
class Case:
    """A command, what comes before it, and what it is to leave.

    Attributes
    ----------
    logs
        Whether it writes to Kafka: then each round has a project of its own.
    """

    words: tuple[str, ...]
    prepare: Callable[[CommandScene], object]
    state: Callable[[CommandScene], Any]
    by_price: bool = False
    logs: bool = False
    learners: bool = False


def backfilled(scene: CommandScene) -> None:
    scene.produce(12)
    assert scene.run(*BACKFILL).status == 0


def in_many_files(scene: CommandScene) -> None:
    for seed in range(3):
        scene.produce(6, seed)
        assert scene.run(*BACKFILL, "--no-hand-over").status == 0


def without_rows(scene: CommandScene) -> None:
    """A store that was lost."""
    backfilled(scene)
    plan = {key: scene.redis.dump(key) for key in scene.redis.scan_iter(f"headrace:{scene.project}:plan*")}
    scene.redis.flushall()
    for key, dump in plan.items():
        scene.redis.restore(key, 0, dump)


def online(scene: CommandScene) -> Any:
    rows = scene.rows()
    assert any(value is not None for values in rows.values() for value in values)
    return rows, scene.progress()


def handed_over(scene: CommandScene) -> Any:
    """Rows, progress but for the numbers of blocks, which may come twice, the log and the changelog."""
    rows, progress = online(scene)
    topics = scene.plan.topics.source("clicks")
    return rows, progress, scene.log_rows(), scene.changelog(topics.changelog)


def with_other_definitions(scene: CommandScene) -> None:
    """Tables are served; in the repository a stream view takes the place of theirs."""
    assert scene.run("materialize").status == 0
    text = (scene.folder / "features.py").read_text()
    begin, end = text.index("user_profile = "), text.index("everything = ")
    text = text[:begin] + BY_PRICE + text[end:].replace("[user_clicks, user_profile]", "[user_clicks]")
    (scene.folder / "features.py").write_text(text)


def applied(scene: CommandScene) -> Any:
    """The plan, what Feast has, topics, and rows of before, whose tables are gone."""
    client, plan = current_plan(scene.settings)
    store = FeatureStore(repo_path=str(scene.folder))
    registered = [view.name for view in (*store.list_stream_feature_views(), *store.list_feature_views())]
    topics = KafkaAdmin(scene.kafka).metadata().topics
    return (
        [view.name for view in (*plan.stream_views, *plan.batch_views)],
        sorted(registered),
        sorted(len(topics[name].partitions) for name in topics if scene.project in name),
        scene.rows(),
        sorted(
            key.replace(scene.project.encode(), b"") for key in client.scan_iter() if b":plan:" not in key
        ),
    )


def with_dead_letters(scene: CommandScene) -> None:
    producer = ordered_producer(scene.kafka)
    for offset in range(4):
        record = LogRecord(offset, NOON_MS, b"ada", b"%d" % offset, [("h", b"x")])
        topic = scene.plan.source("clicks").topic
        letter = DeadLetter.of_record(topic, offset % PARTITIONS, record, "invalid", "no")
        producer.produce(scene.plan.topics.dead_letters, letter.to_bytes(), letter.id, 0)
    assert producer.flush(PATIENCE_S) == 0


def replayed(scene: CommandScene) -> Any:
    """Each record once, with the letter that it is of, and letters that are all replayed."""
    topic = scene.plan.source("clicks").topic
    records = [
        (number, message.key(), message.value(), message.headers())
        for number in range(PARTITIONS)
        for message in read_log(scene.kafka, topic, number)
    ]
    log = DeadLetterLog(scene.kafka, scene.plan.topics.dead_letters)
    everything = Selection(None, None, None, None, None)
    return (
        [(number, key, value, [name for name, _ in headers]) for number, key, value, headers in records],
        sorted(str(logged.replayed)[-4:] for logged in log.find(everything, replayed=True)),
        [*log.find(everything)],
    )


def with_state(scene: CommandScene) -> None:
    """A worker that has ended: a state in the changelogs, and offsets, of another topic as well."""
    backfilled(scene)
    set_offsets(scene.kafka, worker_group(scene.plan), {(scene.plan.topics.late, 0): 7})


def begun_anew(scene: CommandScene) -> Any:
    """What there is of the state, and where workers begin to read."""
    topics, plan = scene.plan.topics.source("clicks"), scene.plan
    read = [plan.source("clicks").topic, topics.shuffle, plan.topics.late]
    places = [(topic, number) for topic in read for number in range(PARTITIONS)]
    offsets = committed_offsets(scene.kafka, worker_group(plan), places[:-1])
    states = [scene.changelog(name) for name in (topics.changelog, topics.shuffle_changelog, topics.shuffle)]
    return states, [offsets.get(place, 0) for place in places]


def with_a_join(scene: CommandScene) -> None:
    """A join that has read predictions and some of their outcomes, and whose changelog is lost."""
    producer, topics = ordered_producer(scene.kafka), scene.plan.topics.router("main")
    for n in range(6):
        prediction = a_prediction(f"p{n}", f"k{n}", NOON_MS + n, router="main")
        partition = partition_for(b"k%d" % n, PARTITIONS)
        producer.produce(topics.predictions, prediction.to_bytes(), b"k%d" % n, partition)
        if n % 2:
            outcome = an_outcome(f"o{n}", f"k{n}", NOON_MS + n)
            producer.produce(topics.outcomes, outcome.to_bytes(), b"k%d" % n, partition)
    assert producer.flush(PATIENCE_S) == 0
    places = [(topic, n) for topic in (topics.predictions, topics.outcomes) for n in range(PARTITIONS)]
    set_offsets(scene.kafka, join_group(scene.project), KafkaAdmin(scene.kafka).end_offsets(places))


def joins(scene: CommandScene) -> Any:
    router = scene.plan.router("main")
    found = [restore_join(scene.kafka, scene.project, router, n) for n in range(PARTITIONS)]
    return [(join.position().next_offsets, dict(join.keys), join.counts) for join in found]


CASES = {
    "reset": Case(("reset", "--yes", "clicks"), with_state, begun_anew, by_price=True, logs=True),
    "reset --join": Case(("reset", "--join", "--yes", "main"), with_a_join, joins, logs=True, learners=True),
    "apply": Case(("apply", "--allow-unsafe"), with_other_definitions, applied, logs=True),
    "dead-letters replay": Case(("dead-letters", "replay", "--yes"), with_dead_letters, replayed, logs=True),
    "backfill": Case(BACKFILL, lambda scene: scene.produce(12), handed_over, by_price=True, logs=True),
    "rebuild": Case(("rebuild",), without_rows, online, by_price=True),
    "materialize": Case(("materialize", "--until", "2024-01-01"), lambda scene: None, online),
    "compact": Case(("compact",), in_many_files, CommandScene.log_rows),
}


class Rounds:
    """Runs a command undisturbed, and again and again with an end at one of its effects."""

    def __init__(self, case: Case, kafka: str) -> None:
        self.case, self._kafka = case, kafka

    @contextmanager
    def scene(self) -> Iterator[CommandScene]:
        with new_folder() as folder, RedisServer() as server:
            project, more = f"t{uuid.uuid4().hex[:12]}", (self.case.by_price, self.case.learners)
            scene = CommandScene(folder, project, self._kafka, server.url, *more)
            self.case.prepare(scene)
            yield scene

    def run(self, numbers: Callable[[Ran], list[int]], how: How) -> None:
        with self.scene() as scene, new_folder() as files:
            kept = Kept(scene, files / "kept")
            undisturbed = scene.run(*self.case.words)
            assert undisturbed.status == 0, undisturbed.printed
            wanted = self.case.state(scene)
            for number in numbers(undisturbed):
                effect = f"{how} {number}: {undisturbed.effects[number]}"
                if self.case.logs:
                    with self.scene() as another:
                        self._end_and_run_again(another, number, how, wanted, effect)
                else:
                    kept.restore()
                    self._end_and_run_again(scene, number, how, wanted, effect)

    def _end_and_run_again(
        self, scene: CommandScene, number: int, how: How, wanted: Any, effect: str
    ) -> None:
        ended = scene.run(*self.case.words, last=number, how=how)
        if how == "fail":
            (*_, told) = ended.printed.splitlines() or [""]
            assert ended.status == 2, f"{effect}: {ended.printed}"
            assert told.startswith("headrace: "), f"{effect}: {ended.printed}"
            assert "Traceback" not in ended.printed, f"{effect}: {ended.printed}"
        else:
            assert ended.status == KILLED, f"{effect}: {ended.printed}"
        again = scene.run(*self.case.words)
        while "does not answer" in again.printed:  # a busy broker, which the command waits for in vain
            again = scene.run(*self.case.words)
        assert again.status == 0, f"{effect}: {again.printed}"
        assert self.case.state(scene) == wanted, f"{effect}: {again.printed}"


@pytest.mark.parametrize("name", SAMPLED)
def test_a_command_that_was_killed_completes_when_it_is_run_again(name: str, kafka_bootstrap: str) -> None:
    Rounds(CASES[name], kafka_bootstrap).run(lambda ran: sample(ends_of_runs(ran.effects), 1), "half")


@pytest.mark.faults
def test_workers_that_begin_after_a_killed_backfill_have_the_rows_of_those_that_began_alone(
    kafka_bootstrap: str,
) -> None:
    """Killed in each step of the hand-over, and never run again."""
    rounds = Rounds(CASES["backfill"], kafka_bootstrap)
    with rounds.scene() as scene:
        ran = scene.run(*BACKFILL)
        wanted = online(scene)
        steps = [n for n in ends_of_runs(ran.effects) if not ran.effects[n].startswith(FILES)]
    for number in sample(steps, 12):
        with rounds.scene() as scene:
            assert scene.run(*BACKFILL, last=number, how="half").status == KILLED
            with scene.worker():
                pass
            assert online(scene) == wanted, ran.effects[number]


@pytest.mark.faults
@pytest.mark.parametrize("how", ["before", "half"])
@pytest.mark.parametrize("name", CASES)
def test_a_command_that_was_killed_anywhere_completes_when_it_is_run_again(
    name: str, how: How, kafka_bootstrap: str
) -> None:
    Rounds(CASES[name], kafka_bootstrap).run(lambda ran: ends_of_runs(ran.effects), how)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["apply", "backfill", "compact"])
def test_a_command_whose_disk_is_full_or_whose_redis_goes_says_so_and_completes_later(
    name: str, kafka_bootstrap: str
) -> None:
    """`materialize`, and with it `rebuild`, waits for Redis; what Kafka refuses comes by other ways."""
    Rounds(CASES[name], kafka_bootstrap).run(of_disk_and_redis, "fail")


def of_disk_and_redis(ran: Ran) -> list[int]:
    return [number for number in ends_of_runs(ran.effects) if not ran.effects[number].startswith(KAFKA)]
