"""Pointers in Redis: the version of each learner and the epoch of each router that serve now.

Where there is a key, each entry is signed for its learner or router: who can write to Redis does not choose
among models. An entry that is not signed, or cannot be read, is a fault of its own and of no other. Every
write is announced on a channel, so that readers need not poll.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import redis
from pydantic import ValidationError

from headrace.learners.models.store import names_artifact
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import StateError
from headrace.schemas.printable import printable
from headrace.schemas.records import Epoch, misfit
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.signatures import Signer
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.redis_updates import PREFIX_MARK, write_newer
from headrace.streams.progress import EPOCHS, Progress, progress_field, progress_key

_REMEDY = "run this process with that version, or the trainer with this one"
POINTER = Encoding(
    version=5,
    # Without a signature; of artifacts without a name of their own; of no era; chosen by nobody.
    older=(UNVERSIONED, 1, 2, 3, 4),
    remedy=_REMEDY,
)
EPOCH = Encoding(
    version=1,
    older=(UNVERSIONED,),  # the record alone
    remedy=_REMEDY,
)
_POINTER = "the pointer to a model in Redis"


def models_key(project: str) -> str:
    """Return the hash of learner to pointer; also the name of the channel."""
    return f"headrace:{project}:models"


def epochs_key(project: str) -> str:
    """Return the hash of router to the epoch in force."""
    return f"headrace:{project}:epochs"


def epoch_entry(record: str, log: str, era: int, signature: str) -> str:
    """Encode an epoch in force, which is a JSON text of its own, with its place and its signature."""
    return json.dumps({**EPOCH.stamp(), "epoch": record, "log": log, "era": era, "signature": signature})


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
    era
        How often the learner's definition has changed, when training by that of the version began or was
        taken up again. Eras order versions: who goes back to a former definition goes on with its versions.
        None: the major version, as of the first definition.
    log
        Names the log that the version is of; positions in two logs do not compare.
    is_chosen
        Whether an operator has had a say in it: then it may have learned less than what served before.
    """

    version: str
    offset: int
    artifact: str = ""
    era: int | None = field(default=None, compare=False)
    log: str = field(default="", compare=False)
    is_chosen: bool = field(default=False, compare=False)

    def encode(self, signature: str = "") -> str:
        """Encode the pointer as JSON."""
        return json.dumps({**POINTER.stamp(), **vars(self), "signature": signature})

    @classmethod
    def decode(cls, text: str | bytes) -> ModelPointer:
        """Decode what `encode` encoded. The signature is not looked at.

        Raises
        ------
        StateError
            When it is no pointer, or has a version that is not read.
        """
        return cls.of(_object(text, _POINTER))

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ModelPointer:
        """Return the pointer that an object of JSON is; raises as `decode` does."""
        POINTER.check(raw, _POINTER)
        version, offset, artifact = (raw.get(name, "") for name in ("version", "offset", "artifact"))
        log, era = str(raw.get("log", "")), raw.get("era")
        whole = _is_whole(offset) and (era is None or _is_whole(era))
        if not (whole and names_artifact(str(version), str(artifact))):
            raise StateError(f"{_POINTER} is none; {_REMEDY}")
        is_chosen = raw.get("is_chosen", False) is True
        return cls(str(version), int(offset), str(artifact), era, log, is_chosen)

    def words(self) -> tuple[str, ...]:
        """Return what is signed of it, besides project and learner."""
        era = () if self.era is None else (str(self.era),)
        chosen = ("chosen",) if self.is_chosen else ()
        return self.version, str(self.offset), self.artifact, self.log, *era, *chosen

    def goes_back_from(self, other: ModelPointer) -> bool:
        """Whether this is an older pointer of the same log.

        >>> ModelPointer("1.9", 40).goes_back_from(ModelPointer("1.10", 30))
        True
        >>> ModelPointer("1.9", 40, era=3).goes_back_from(ModelPointer("2.5", 35, era=2))
        False
        """
        return self.log == other.log and self.position < other.position

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def position(self) -> tuple[int, int, int]:
        """Era, minor and offset: of two pointers the later one has the greater."""
        era = self.major if self.era is None else self.era
        return era, int(self.version.partition(".")[2]), self.offset

    def names_the_model_of(self, other: ModelPointer) -> bool:
        """Whether both stand for the same model."""
        return (self.version, self.artifact) == (other.version, other.artifact)


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
    faults
        By learner, why its entry is not used.
    epoch_fault
        Why the entry of the epoch is not used; None when it is, or when there is none.
    epoch_place
        The log that the epoch is of, and how often epochs have begun anew in it.
    """

    pointers: dict[str, ModelPointer]
    epoch: Epoch | None
    closings: list[int]
    faults: dict[str, str] = field(default_factory=dict)
    epoch_fault: str | None = None
    epoch_place: tuple[str, int] = ("", 0)


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
    key
        Signs what is written, and what is read must be signed with it. None: nothing is, for those who only
        show it.
    """

    def __init__(
        self,
        client: redis.Redis,
        project: str,
        state: str = "",
        plan: str = "",
        key: bytes | None = None,
    ) -> None:
        self._signer = None if key is None else Signer(key, "pointer")
        self._redis = client
        self._project = project
        self._state, self._plan = state, plan

    def point(
        self,
        topic: str,
        pointers: Mapping[str, ModelPointer],
        learned: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        """Point learners to their versions, and publish the prefixes of the examples topic as progress.

        Parameters
        ----------
        learned
            By learner the era that it trains in, and the prefix that it has learned there: while a version of
            the definition before serves, it is another than the pointer's. None: that of the pointers.
        """
        learned = learned or {name: pointer.position[::2] for name, pointer in pointers.items()}
        of_log = {name: replace(pointer, log=self._state) for name, pointer in pointers.items()}
        versions = {
            name: (pointer.encode(self._sign("model", name, *pointer.words())), pointer.position)
            for name, pointer in of_log.items()
        }
        progress = {
            progress_field("train", topic, 0, name): (
                Progress(offset, plan=self._plan).encode(),
                (era, offset),
            )
            for name, (era, offset) in learned.items()
        }
        write_newer(self._redis, models_key(self._project), versions, self._state)
        self._publish(progress)

    def put_in_force(
        self,
        epoch: Epoch,
        topic: str,
        offsets: Mapping[int, int],
        era: int = 0,
        read_in: int | None = None,
    ) -> None:
        """Put an epoch in force, and publish the prefixes of the closings topic by partition as progress.

        Parameters
        ----------
        era
            How often evidence had been gathered anew, under other rules, when the epoch was made.
        read_in
            The era in which the prefixes have been read; None: that of the epoch.
        """
        record = epoch.to_bytes().decode()
        signature = self._sign("epoch", epoch.router, record, self._state, str(era))
        text = epoch_entry(record, self._state, era, signature)
        in_force = {epoch.router: (text, (era, epoch.epoch))}
        progress = {
            progress_field("train", topic, partition, EPOCHS): (
                Progress(offset, plan=self._plan).encode(),
                (era if read_in is None else read_in, offset),
            )
            for partition, offset in offsets.items()
        }
        write_newer(self._redis, epochs_key(self._project), in_force, self._state)
        self._publish(progress)

    def _publish(self, progress: Mapping[str, tuple[str, tuple[int, int]]]) -> None:
        write_newer(self._redis, progress_key(self._project), progress, self._state)
        self._redis.publish(models_key(self._project), "")

    def serving(self) -> dict[str, ModelPointer]:
        """Return the pointer of every learner that has one that can be used."""
        raw: Any = self._redis.hgetall(models_key(self._project))
        return self._pointers(raw)[0]

    def subscribe(self) -> Subscription:
        """Return a subscription to every write."""
        return Subscription(self._redis, models_key(self._project))

    def read(self, router: RouterSpec) -> InForce:
        """Return what is in force for a router, in one round trip.

        Prefixes are read first, so that the epoch read after them follows from at least as much. An entry
        that cannot be used is among the faults.
        """
        closings = RouterTopics(self._project, router.name).closings
        fields = [progress_field("train", closings, n, EPOCHS) for n in range(router.partitions)]
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(progress_key(self._project), fields)
        pipeline.hgetall(models_key(self._project))
        pipeline.hget(epochs_key(self._project), router.name)
        prefixes, versions, epoch = pipeline.execute()
        usable, faults = self._pointers(versions)
        offsets = [0 if raw is None else Progress.decode(raw).next_offset for raw in prefixes]
        if epoch is None:
            return InForce(usable, None, offsets, faults)
        try:
            in_force, place = self._epoch(router.name, epoch)
        except StateError as error:
            return InForce(usable, None, offsets, faults, str(error))
        return InForce(usable, in_force, offsets, faults, None, place)

    def _sign(self, *words: str) -> str:
        return "" if self._signer is None else self._signer.sign(self._project, *words)

    def _check(self, what: str, signature: object, *words: str) -> None:
        if self._signer is None or self._signer.fits(signature, self._project, *words):
            return
        if not signature:
            raise StateError(
                f"{what} is not signed: it is of before there were signatures, or another's; run the trainer "
                "with the key of this process (HEADRACE_MODEL_KEY), which writes it anew"
            )
        raise StateError(
            f"{what} is not signed with the key of this process (HEADRACE_MODEL_KEY); run the "
            "trainer with that key, and see who can write to Redis"
        )

    def _pointers(
        self, raw: Mapping[str | bytes, str | bytes]
    ) -> tuple[dict[str, ModelPointer], dict[str, str]]:
        """Return the pointers that can be used, by learner, and why others cannot."""
        pointers, faults = {}, {}
        for key, value in raw.items():
            name = _text(key)
            if name.startswith(PREFIX_MARK):
                continue
            what = f"the pointer of learner '{printable(name)}' in Redis"
            try:
                raw_pointer = _object(value, _POINTER)
                pointer = ModelPointer.of(raw_pointer)
                self._check(what, raw_pointer.get("signature"), "model", name, *pointer.words())
                pointers[name] = pointer
            except StateError as error:
                faults[name] = str(error)
        return pointers, faults

    def _epoch(self, router: str, text: str | bytes) -> tuple[Epoch, tuple[str, int]]:
        """Return an epoch and its place; raises a `StateError` when it cannot be used."""
        what = f"the epoch of router '{router}' in Redis"
        raw = _object(text, what)
        record = raw.get("epoch") if EPOCH.check(raw, what) else text
        log, era = str(raw.get("log", "")), raw.get("era", 0)
        self._check(what, raw.get("signature"), "epoch", router, str(record), log, str(era))
        try:
            epoch = Epoch.model_validate_json(record)  # type: ignore[arg-type]
        except (ValidationError, TypeError) as error:
            problem = misfit(error) if isinstance(error, ValidationError) else "it is no text"
            raise StateError(f"{what} cannot be read: {problem}; {_REMEDY}") from error
        if epoch.router != router or not isinstance(era, int):
            raise StateError(f"{what} is of router '{printable(epoch.router)}'; {_REMEDY}")
        return epoch, (log, era)


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


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{what} is no JSON; {_REMEDY}") from error
    if not isinstance(raw, dict):
        raise StateError(f"{what} is no object of JSON; {_REMEDY}")
    return raw


def _is_whole(raw: object) -> bool:
    return isinstance(raw, int) and 0 <= raw < 1 << 63


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
