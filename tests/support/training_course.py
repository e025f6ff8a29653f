"""Hours of examples and closings, with what one undisturbed trainer makes of them."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.trainer import Trainer
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import Mark
from headrace.schemas.records import Epoch
from tests.support.flight_learners import HOUR_MS, closings, examples
from tests.support.train_scene import Scene
from tests.support.waiting import eventually

HOURS = 14
A_HOUR = 6  # examples, and closings


class Course:
    """Hours of examples and closings, what follows from them, and how far they have been written."""

    def __init__(self, scene: Scene, hours: int = HOURS) -> None:
        self.scene, self.hours, self.written = scene, hours, 0
        self._examples = list(examples(scene.plan, hours * A_HOUR))
        self._closings = list(closings(scene.plan, hours * A_HOUR, {"streaming": 0.8, "base": 0.5}))
        self._start_ms = 10 * 24 * HOUR_MS  # behind everything

    def hour(self, number: int) -> tuple[list[bytes | int], list[bytes | int]]:
        """Records of one hour, ended by its mark; among the examples one that is none."""
        part = slice(number * A_HOUR, (number + 1) * A_HOUR)
        end_ms = self._start_ms + number * HOUR_MS
        learned: list[bytes | int] = [example.to_bytes() for example in self._examples[part]]
        closed = [self._late(closing, end_ms) for closing in self._closings[part]]
        return [*learned, b"no example", end_ms], [*closed, end_ms + 2 * HOUR_MS]

    def _late(self, closing: Any, end_ms: int) -> bytes:
        prediction = closing.prediction.model_copy(
            update={"ts_ms": end_ms - self.scene.router.wait_ms + HOUR_MS}
        )
        return bytes(closing.model_copy(update={"prediction": prediction}).to_bytes())

    def write_hour(self) -> None:
        """One more hour; partition 1 of the closings has marks alone."""
        learned, closed = self.hour(self.written)
        self.scene.write(self.scene.examples, *learned)
        self.scene.write(self.scene.closings, *closed)
        self.scene.write(self.scene.closings, closed[-1], partition=1)
        self.written += 1

    def versions(self, arm: str) -> list[tuple[str, str | None, int, int, str]]:
        """The versions of one undisturbed trainer."""
        trainer = Trainer(self.scene.plan, self.scene.project.learner(arm))
        published = [trainer.describe(trainer.checkpoint().header)]
        offset = 0
        every = iter(self._examples)
        for number in range(self.hours):
            for value in self.hour(number)[0]:
                if isinstance(value, int):
                    trainer.mark(offset, Mark(value), HOUR_MS)
                    published.append(trainer.describe(trainer.checkpoint().header))
                elif value != b"no example":
                    trainer.take(offset, next(every))
                else:
                    trainer.reach(offset + 1)
                offset += 1
        return [(v.version, v.parent, v.offset, v.examples, v.digest) for v in published]

    @cached_property
    def epochs(self) -> list[Epoch]:
        """The epochs of one undisturbed trainer."""
        keeper, found = EpochKeeper(self.scene.router, self.scene.plan.hash, 2), []
        every, offset = iter(self._closings), 0
        for number in range(self.hours):
            for value in self.hour(number)[1]:
                if isinstance(value, int):
                    found += keeper.mark(0, offset, value)
                    found += keeper.mark(1, number, value)
                else:
                    found += keeper.take(0, offset, type(next(every)).model_validate_json(value))
                offset += 1
        return found

    @property
    def offset(self) -> int:
        """Next offset of the examples."""
        return self.written * (A_HOUR + 2)

    def is_trained(self) -> bool:
        """Whether what was written is in versions, and the last epoch is in force if all was written."""
        epoch = self.scene.pointers.read(self.scene.router).epoch
        last = self.epochs[-1].epoch
        return self.scene.has_trained(self.offset) and epoch is not None and epoch.epoch >= last

    def await_end(self) -> None:
        self.scene.await_trained(self.offset)
        self.scene.await_epoch(self.epochs[-1].epoch)


def assert_equals_an_undisturbed_trainer(course: Course) -> None:
    scene = course.scene
    pointers = scene.pointers.serving()
    for arm in scene.router.arms:
        expected = course.versions(arm)
        recorded = eventually(partial(scene.lineage, arm), f"all of {arm}", partial(_are, len(expected)))
        assert [(v.version, v.parent, v.offset, v.examples, v.digest) for v in recorded] == expected
        named = scene.state().models[arm].trained.kept
        assert pointers[arm].version == expected[-1][0] == named[-1].version
        assert [one.artifact for one in named] == [v.artifact for v in recorded][-len(named) :]
        assert all(scene.store.has(arm, one.version, one.artifact) for one in named)
        assert scene.newest(arm).header.version == expected[-1][0]
    epochs = course.epochs
    assert [Epoch.model_validate_json(raw) for raw in scene.read(scene.epochs)] == epochs
    assert scene.pointers.read(scene.router).epoch == epochs[-1]
    refused = [DeadLetter.model_validate_json(raw) for raw in scene.read(scene.plan.topics.dead_letters)]
    offsets = [number * (A_HOUR + 2) + A_HOUR for number in range(course.hours)]
    assert [letter.offset for letter in refused] == offsets


def _are(count: int, found: list[Any]) -> bool:
    return len(found) == count
