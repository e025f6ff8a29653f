"""Starts trainers of one group as processes."""

from __future__ import annotations

import json
from typing import Any

from tests.support.forked_child import ForkedChild
from tests.support.train_scene import Scene

QUICK = {"publish_every_s": 0, "session_timeout_ms": 1500}


class Trainers:
    """The trainers of a scene: each start adds one."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._started: list[ForkedChild] = []
        self._plan_file = scene.folder / "plan.json"
        self._plan_file.write_text(scene.plan.to_json())

    def start(self, program: str = "train_process", **config: Any) -> ForkedChild:
        """One more; unless its configuration says otherwise, it publishes at every mark."""
        scene, name = self._scene, f"train-{len(self._started)}"
        places = [str(self._plan_file), str(scene.folder), scene.bootstrap, scene.redis_url]
        arguments = [*places, str(scene.store.directory), json.dumps({**QUICK, **config})]
        trainer = ForkedChild(name, [f"tests.support.{program}", *arguments], scene.folder / f"{name}.log")
        self._started.append(trainer)
        trainer.start()
        return trainer

    def stop(self) -> None:
        for trainer in self._started:
            trainer.kill()
