"""Pointers in Redis: the version of each learner and the epoch of each router that serve now.

Every write is announced on a channel, so that readers need not poll.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from pydantic import ValidationError

from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import StateError
from headrace.schemas.records import Epoch, misfit
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import EPOCHS, Progress, progress_field, progress_key

POINTER = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="run this process with that version, or the trainer with this one",
)


def models_key(project: str) -> str:
    """Return the hash of learner to pointer; also the name of the channel."""
    return f"headrace:{project}:models"


def epoch_key(project: str, router: str) -> str:
    return f"headrace:{project}:epoch:{router}"


@dataclass(frozen=True)
class ModelPointer:
    """A published version of a learner.

    Attributes
    ----------
    version
        ``major.minor``.
    offset
        The version stands for the prefix ``[0, offset)`` of the examples topic. Grows also without a new
        version, while the topic has nothing to learn.
    """

    version: str
    offset: int

    def encode(self) -> str:
        """Encode the pointer as JSON."""
        return json.dumps({**POINTER.stamp(), "version": self.version, "offset": self.offset})

    @classmethod
    def decode(cls, text: str | bytes) -> ModelPointer:
        """Decode what `encode` encoded.

        Raises
        ------
        StateError
            When it has a version that is not read.
        """
        raw = json.loads(text)
        POINTER.check(raw, f"the pointer to model version {raw.get('version')} in Redis")
        return cls(str(raw["version"]), int(raw["offset"]))


@dataclass(frozen=True)
class InForce:
    """Pointers and the epoch that are in force for a router.

    Attributes
    ----------
    pointers
        By learner.
    epoch
        None before the trainer put one in force.
    closings
        By partition of the closings topic, the next offset of the prefix that the epoch follows from.
    """

    pointers: dict[str, ModelPointer]
    epoch: Epoch | None
    closings: list[int]


class ModelPointers:
    """Writes pointers and epochs for the trainer, and reads them for the router.

    Parameters
    ----------
    client
        Redis.
    project
        Name of the project.
    """

    def __init__(self, client: redis.Redis, project: str) -> None:
        self._redis = client
        self._project = project

    def point(self, topic: str, pointers: Mapping[str, ModelPointer]) -> None:
        """Point learners to their versions, and publish the prefixes of the examples topic as progress."""
        progress = {
            progress_field("train", topic, 0, learner): Progress(pointer.offset).encode()
            for learner, pointer in pointers.items()
        }
        versions = {learner: pointer.encode() for learner, pointer in pointers.items()}
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(models_key(self._project), mapping=dict(versions))
        self._publish(pipeline, progress)

    def put_in_force(self, epoch: Epoch, topic: str, offsets: Mapping[int, int]) -> None:
        """Put an epoch in force, and publish the prefixes of the closings topic by partition as progress."""
        progress = {
            progress_field("train", topic, partition, EPOCHS): Progress(offset).encode()
            for partition, offset in offsets.items()
        }
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(epoch_key(self._project, epoch.router), epoch.to_bytes())
        self._publish(pipeline, progress)

    def _publish(self, pipeline: Any, progress: Mapping[str, str]) -> None:
        pipeline.hset(progress_key(self._project), mapping=dict(progress))
        pipeline.execute()
        self._redis.publish(models_key(self._project), "")  # which pipelines of a cluster do not take

    def serving(self) -> dict[str, ModelPointer]:
        """Return the pointer of every learner that has one."""
        raw: Any = self._redis.hgetall(models_key(self._project))
        return {_text(name): ModelPointer.decode(value) for name, value in raw.items()}

    def subscribe(self) -> Subscription:
        """Return a subscription to every write."""
        return Subscription(self._redis, models_key(self._project))

    def read(self, router: RouterSpec) -> InForce:
        """Return what is in force for a router, in one round trip.

        Prefixes are read first, so that the epoch read after them follows from at least as much.

        Raises
        ------
        StateError
            When a pointer or the epoch has a version that is not read.
        """
        closings = RouterTopics(self._project, router.name).closings
        fields = [progress_field("train", closings, n, EPOCHS) for n in range(router.partitions)]
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(progress_key(self._project), fields)
        pipeline.hgetall(models_key(self._project))
        pipeline.get(epoch_key(self._project, router.name))
        prefixes, versions, epoch = pipeline.execute()
        return InForce(
            {_text(name): ModelPointer.decode(value) for name, value in versions.items()},
            None if epoch is None else _epoch(epoch),
            [0 if raw is None else Progress.decode(raw).next_offset for raw in prefixes],
        )


class Subscription:
    """Waits for writes of pointers and epochs. Subscribes at the first `wait`."""

    def __init__(self, client: redis.Redis, channel: str) -> None:
        self._channel = channel
        self._pubsub = client.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )

    def wait(self, timeout_s: float) -> None:
        """Return when something was written since the last call, or after `timeout_s` seconds."""
        if not self._pubsub.subscribed:
            self._pubsub.subscribe(self._channel)
            return
        self._pubsub.get_message(timeout=timeout_s)

    def close(self) -> None:
        self._pubsub.close()


def _epoch(raw: str | bytes) -> Epoch:
    try:
        return Epoch.model_validate_json(raw)
    except ValidationError as error:
        raise StateError(f"the epoch in Redis cannot be read: {misfit(error)}; {POINTER.remedy}") from error


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
