"""The trainer's changelog: which artifacts count, the state of the epochs, which dead letters are out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.learners.models.store import names_artifact
from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import StateError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.transactions import Place
from headrace.streams.runtime.changelogs import changelog_messages
from headrace.streams.runtime.restoring import Restoring

_REMEDY = (
    "run the trainer of that version, or stop all trainers, delete that changelog and run `headrace apply`, "
    "to have models and epochs learned anew"
)
NEWEST = Encoding(version=1, remedy=_REMEDY)
REPORTED = Encoding(version=1, remedy=_REMEDY)
INPUTS = Encoding(version=1, remedy=_REMEDY)
_SEPARATOR = "|"


@dataclass(frozen=True)
class NamedArtifact:
    """An artifact that the log names: a file that nothing names is nobody's.

    Attributes
    ----------
    version
        ``major.minor``.
    artifact
        See `ModelStore.write`; empty for a file from before artifacts were named by the log.
    """

    version: str
    artifact: str


@dataclass(frozen=True)
class NewestVersion:
    """The versions of a learner that count.

    Attributes
    ----------
    offset
        Prefix of the examples topic that the newest stands for.
    recorded
        Whether the newest is in the models topic, with its metrics and digest.
    kept
        Those whose artifacts are kept, the newest last.
    """

    offset: int
    recorded: bool
    kept: tuple[NamedArtifact, ...]

    @property
    def version(self) -> str:
        """The newest version."""
        return self.kept[-1].version

    def encode(self) -> bytes:
        """Encode the entry of a learner."""
        kept = [[one.version, one.artifact] for one in self.kept]
        state = {"offset": self.offset, "recorded": self.recorded, "kept": kept}
        return json.dumps({**NEWEST.stamp(), **state}).encode()

    @classmethod
    def decode(cls, raw: bytes, learner: str) -> NewestVersion:
        """Decode what `encode` encoded.

        Raises
        ------
        StateError
            When it is damaged or has a version that is not read.
        """
        what = f"the newest version of learner '{learner}' in the trainer's changelog"
        with NEWEST.reading(what):
            found = json.loads(raw)
            NEWEST.check(found, what)
            kept = tuple(NamedArtifact(str(version), str(artifact)) for version, artifact in found["kept"])
            if not kept or not all(names_artifact(one.version, one.artifact) for one in kept):
                raise ValueError("it names no artifact")
            return cls(_offset(found["offset"]), bool(found["recorded"]), kept)


@dataclass
class TrainState:
    """What a trainer goes on from.

    Attributes
    ----------
    models
        By learner.
    epochs
        By router, as `EpochKeeper.to_json` encoded it.
    reported
        By partition of a topic, the offset before which dead letters are out.
    inputs
        Ids of the topics that all this follows from.
    """

    models: dict[str, NewestVersion] = field(default_factory=dict)
    epochs: dict[str, str] = field(default_factory=dict)
    reported: dict[Place, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    def load(self, key: bytes, value: bytes) -> None:
        """Take an entry of the changelog.

        Raises
        ------
        StateError
            When it is damaged or has a version that is not read.
        """
        kind, _, name = key.decode(errors="replace").partition(_SEPARATOR)
        if kind == "model":
            self.models[name] = NewestVersion.decode(value, name)
        elif kind == "epochs":
            self.epochs[name] = value.decode(errors="replace")
        elif kind == "dead-letters":
            self._load_reported(name, value)
        elif kind == "inputs":
            what = "the inputs in the trainer's changelog"
            with INPUTS.reading(what):
                found: dict[str, Any] = json.loads(value)
                INPUTS.check(found, what)
                self.inputs = {str(topic): str(topic_id) for topic, topic_id in found["ids"].items()}

    def _load_reported(self, name: str, value: bytes) -> None:
        topic, _, partition = name.rpartition(_SEPARATOR)
        what = f"the dead letters of {topic}[{partition}] in the trainer's changelog"
        with REPORTED.reading(what):
            raw: Mapping[str, Any] = json.loads(value)
            REPORTED.check(raw, what)
            self.reported[topic, int(partition)] = _offset(raw["next"])

    def check_inputs(self, ids: Mapping[str, str], changelog: str) -> None:
        """Refuse to go on from this with topics that were made anew.

        Raises
        ------
        StateError
            When a topic has another id than it had.
        """
        for topic, was in self.inputs.items():
            if (now := ids.get(topic, was)) != was:
                raise StateError(
                    f"topic '{topic}' was deleted and made again (its id was {was}, and is {now}), so models "
                    f"and epochs are of another log; restore it, or stop all trainers, delete {changelog} "
                    "and run `headrace apply` to have them learned anew from what is there"
                )


def _offset(raw: Any) -> int:
    if type(raw) is not int or not 0 <= raw < 1 << 63:
        raise ValueError(f"{raw!r} is no offset")
    return raw


def model_key(learner: str) -> bytes:
    return _SEPARATOR.join(("model", learner)).encode()


def epochs_key(router: str) -> bytes:
    return _SEPARATOR.join(("epochs", router)).encode()


def reported_key(place: Place) -> bytes:
    return _SEPARATOR.join(("dead-letters", place[0], str(place[1]))).encode()


def encode_reported(next_offset: int) -> bytes:
    """Encode the offset before which dead letters are out."""
    return json.dumps({**REPORTED.stamp(), "next": next_offset}).encode()


INPUTS_KEY = b"inputs"


def encode_inputs(ids: Mapping[str, str]) -> bytes:
    """Encode the ids of the topics that models and epochs follow from."""
    return json.dumps({**INPUTS.stamp(), "ids": dict(ids)}).encode()


def read_state(kafka: Kafka, topic: str, restoring: Restoring) -> TrainState:
    """Read the state as of the last transaction; one that the last owner has open is waited for.

    Raises
    ------
    CancelledError
        When `restoring` has been abandoned.
    ServiceUnavailable
        When the broker stops answering.
    StateError
        When an entry is damaged or has a version that is not read.
    """
    messages = changelog_messages(kafka, topic, 0, restoring)
    newest: dict[bytes | None, bytes | None] = {message.key(): message.value() for message in messages}
    state = TrainState()
    for key, value in newest.items():
        if key is not None and value is not None:  # the trainer writes no others
            state.load(key, value)
    return state
