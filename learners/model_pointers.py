"""What serves now, in Redis: the newest version per learner and the epoch per router."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis

from schemas.records import Epoch


def models_key(project: str) -> str:
    return f"headrace:{project}:models"


def epoch_key(project: str, router: str) -> str:
    return f"headrace:{project}:epoch:{router}"


@dataclass(frozen=True)
class ModelPointer:
    """A published version; `offset` is the prefix of the examples topic that it stands for, which goes on
    growing while there is nothing to learn."""

    version: str
    offset: int

    def encode(self) -> str:
        return json.dumps({"version": self.version, "offset": self.offset})

    @classmethod
    def decode(cls, text: str | bytes) -> ModelPointer:
        raw = json.loads(text)
        return cls(str(raw["version"]), int(raw["offset"]))


class ModelPointers:
    """Writes pointers, for the trainer, and reads them, for the router."""

    def __init__(self, client: redis.Redis, project: str) -> None:
        self._redis = client
        self._project = project

    def point(self, learner: str, pointer: ModelPointer) -> None:
        self._redis.hset(models_key(self._project), learner, pointer.encode())

    def set_epoch(self, epoch: Epoch) -> None:
        self._redis.set(epoch_key(self._project, epoch.router), epoch.to_bytes())

    def read(self, router: str) -> tuple[dict[str, ModelPointer], Epoch | None]:
        """All pointers by learner, and the router's epoch, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(models_key(self._project))
        pipeline.get(epoch_key(self._project, router))
        raw: list[Any] = pipeline.execute()
        pointers = {_text(name): ModelPointer.decode(value) for name, value in raw[0].items()}
        return pointers, None if raw[1] is None else Epoch.model_validate_json(raw[1])


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
