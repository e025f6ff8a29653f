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

from headrace.deploy.local.redis_server import RedisServer
from tests.support.command_scene import KILLED, CommandScene, Kept, Ran, ends_of_runs, new_folder, sample
from tests.support.effects import How

SOME = 4  # rounds of each command in `make test`
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


CASES = {
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
            scene = CommandScene(
                folder, f"t{uuid.uuid4().hex[:12]}", self._kafka, server.url, self.case.by_price
            )
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
        assert ended.status == KILLED, f"{effect}: {ended.printed}"
        again = scene.run(*self.case.words)
        assert again.status == 0, f"{effect}: {again.printed}"
        assert self.case.state(scene) == wanted, f"{effect}: {again.printed}"


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_was_killed_completes_when_it_is_run_again(name: str, kafka_bootstrap: str) -> None:
    Rounds(CASES[name], kafka_bootstrap).run(lambda ran: sample(ends_of_runs(ran.effects), SOME), "half")


@pytest.mark.faults
@pytest.mark.parametrize("how", ["before", "half"])
@pytest.mark.parametrize("name", CASES)
def test_a_command_that_was_killed_anywhere_completes_when_it_is_run_again(
    name: str, how: How, kafka_bootstrap: str
) -> None:
    Rounds(CASES[name], kafka_bootstrap).run(lambda ran: ends_of_runs(ran.effects), how)
