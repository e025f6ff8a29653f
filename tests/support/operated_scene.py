"""A project with trainers, and an operator who acts on its models."""

from __future__ import annotations

import time
from typing import Any

from headrace.learners.models.history import Deed, read_deeds
from headrace.learners.models.operations import Operation, submit
from headrace.learners.operating.desk import ModelDesk
from tests.support.flight_learners import HOUR_MS, examples
from tests.support.train_process import KEY
from tests.support.train_scene import Scene, bodies
from tests.support.waiting import eventually

ARM = "tree"


class OperatedScene(Scene):
    """A scene with an operator of the learner `ARM`."""

    @property
    def desk(self) -> ModelDesk:
        return ModelDesk(self.bootstrap, self.plan, KEY)

    def feed(self, count: int, first: int = 0) -> int:
        """Write examples, each with an hour's mark, and return the end of the topic."""
        for n, body in enumerate(bodies([*examples(self.plan, count)][first:]), first + 1):
            self.write(self.examples, body, n * HOUR_MS)
        return 2 * count

    def order(self, kind: Any, version: str | None = None, key: bytes = KEY, **more: Any) -> Operation:
        """Write an operation that nothing has looked at before."""
        now_ms = time.time_ns() // 1_000_000
        operation = Operation(
            kind=kind, learner=ARM, version=version, who="ada", why="a test", ts_ms=now_ms, **more
        )
        submit(self.bootstrap, self.plan.project, operation, key)
        return operation

    def await_outcome(self, operation: Operation) -> Deed:
        deeds = eventually(
            lambda: [one for one in self.deeds() if one.operation.id == operation.id and one.outcome],
            f"the outcome of {operation.kind}",
        )
        return deeds[0]

    def deeds(self) -> list[Deed]:
        return read_deeds(self.bootstrap, self.plan.project)

    def serving(self) -> str:
        pointer = self.pointers.serving().get(ARM)
        return "" if pointer is None else pointer.version

    def await_serving(self, version: str) -> None:
        eventually(self.serving, f"{version} serves", lambda found: found == version)
