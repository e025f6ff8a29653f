"""What serves now, in Redis: the newest version per learner and the epoch per router."""

from __future__ import annotations

import json
from dataclasses import dataclass

import redis

from schemas import topics
from schemas.plan import RouterSpec
from schemas.records import Epoch
from streams.progress import EPOCHS, Progress, progress_field, progress_key


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


@dataclass(frozen=True)
class InForce:
    """Pointers by learner, the epoch, and per partition the prefix of the closings it follows from."""

    pointers: dict[str, ModelPointer]
    epoch: Epoch | None
    closings: list[int]


class ModelPointers:
    """Writes pointers, for the trainer, and reads them, for the router."""

    def __init__(self, client: redis.Redis, project: str) -> None:
        self._redis = client
        self._project = project

    def point(self, learner: str, pointer: ModelPointer) -> None:
        self._redis.hset(models_key(self._project), learner, pointer.encode())

    def set_epoch(self, epoch: Epoch) -> None:
        self._redis.set(epoch_key(self._project, epoch.router), epoch.to_bytes())

    def read(self, router: RouterSpec) -> InForce:
        """What is in force for a router, in one round trip.

        The prefixes are read first: the epoch that is read behind them follows from at least as much.
        """
        closings = topics.closings(self._project, router.name)
        fields = [progress_field("train", closings, n, EPOCHS) for n in range(router.partitions)]
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(progress_key(self._project), fields)
        pipeline.hgetall(models_key(self._project))
        pipeline.get(epoch_key(self._project, router.name))
        prefixes, versions, epoch = pipeline.execute()
        return InForce(
            {_text(name): ModelPointer.decode(value) for name, value in versions.items()},
            None if epoch is None else Epoch.model_validate_json(epoch),
            [0 if raw is None else Progress.decode(raw).next_offset for raw in prefixes],
        )


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
