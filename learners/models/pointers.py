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
from headrace.streams.connections.redis_updates import PREFIX_MARK, write_newer
from headrace.streams.progress import EPOCHS, Progress, progress_field, progress_key

POINTER = Encoding(
    version=2,
    older=(UNVERSIONED, 1),  # of artifacts that have the name of their version alone
    remedy="run this process with that version, or the trainer with this one",
)


def models_key(project: str) -> str:
    """Return the hash of learner to pointer; also the name of the channel."""
    return f"headrace:{project}:models"


def epochs_key(project: str) -> str:
    """Return the hash of router to the epoch in force."""
    return f"headrace:{project}:epochs"


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
    artifact
        Which artifact of that version counts; see `ModelStore.write`.
    """

    version: str
    offset: int
    artifact: str = ""

    def encode(self) -> str:
        """Encode the pointer as JSON."""
        return json.dumps({**POINTER.stamp(), **vars(self)})

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
        return cls(str(raw["version"]), int(raw["offset"]), str(raw.get("artifact", "")))

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def position(self) -> tuple[int, int, int]:
        """Major, minor and offset: of two pointers the later one has the greater."""
        return self.major, int(self.version.partition(".")[2]), self.offset


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

    Each write is passed over where a later one is: who is not the owner any more puts nothing back.

    Parameters
    ----------
    client
        Redis.
    project
        Name of the project.
    state
        Names the log that versions and epochs are of. What is in Redis of another log gives way.
    plan
        Hash of the plan of the process that writes.
    """

    def __init__(self, client: redis.Redis, project: str, state: str = "", plan: str = "") -> None:
        self._redis = client
        self._project = project
        self._state, self._plan = state, plan

    def point(self, topic: str, pointers: Mapping[str, ModelPointer]) -> None:
        """Point learners to their versions, and publish the prefixes of the examples topic as progress."""
        versions = {name: (pointer.encode(), pointer.position) for name, pointer in pointers.items()}
        progress = {
            progress_field("train", topic, 0, name): (
                Progress(pointer.offset, plan=self._plan).encode(),
                (pointer.major, pointer.offset),
            )
            for name, pointer in pointers.items()
        }
        write_newer(self._redis, models_key(self._project), versions, self._state)
        self._publish(progress)

    def put_in_force(self, epoch: Epoch, topic: str, offsets: Mapping[int, int], era: int = 0) -> None:
        """Put an epoch in force, and publish the prefixes of the closings topic by partition as progress.

        Parameters
        ----------
        era
            How often epochs have begun anew, under other rules.
        """
        in_force = {epoch.router: (epoch.to_bytes().decode(), (era, epoch.epoch))}
        progress = {
            progress_field("train", topic, partition, EPOCHS): (
                Progress(offset, plan=self._plan).encode(),
                (era, offset),
            )
            for partition, offset in offsets.items()
        }
        write_newer(self._redis, epochs_key(self._project), in_force, self._state)
        self._publish(progress)

    def _publish(self, progress: Mapping[str, tuple[str, tuple[int, int]]]) -> None:
        write_newer(self._redis, progress_key(self._project), progress, self._state)
        self._redis.publish(models_key(self._project), "")

    def serving(self) -> dict[str, ModelPointer]:
        """Return the pointer of every learner that has one."""
        raw: Any = self._redis.hgetall(models_key(self._project))
        return _pointers(raw)

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
        pipeline.hget(epochs_key(self._project), router.name)
        prefixes, versions, epoch = pipeline.execute()
        return InForce(
            _pointers(versions),
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


def _pointers(raw: Mapping[str | bytes, str | bytes]) -> dict[str, ModelPointer]:
    named = {_text(name): value for name, value in raw.items()}
    return {
        name: ModelPointer.decode(value) for name, value in named.items() if not name.startswith(PREFIX_MARK)
    }


def _epoch(raw: str | bytes) -> Epoch:
    try:
        return Epoch.model_validate_json(raw)
    except ValidationError as error:
        raise StateError(f"the epoch in Redis cannot be read: {misfit(error)}; {POINTER.remedy}") from error


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
