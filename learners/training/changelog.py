"""The trainer's changelog: which artifacts count, the state of the epochs, which dead letters are out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.learners.routing.epochs import REMEDY
from headrace.learners.training.learner_state import LearnerState, offset_of
from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import StateError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.transactions import Place
from headrace.streams.runtime.changelogs import changelog_messages
from headrace.streams.runtime.restoring import Restoring

REPORTED = Encoding(version=1, remedy=REMEDY)
INPUTS = Encoding(version=1, remedy=REMEDY)
OPERATIONS = Encoding(version=1, remedy=REMEDY)
_SEPARATOR = "|"


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
    operations
        Offset of the models topic before which operations are folded; None of a log from before there were
        any, or that was made anew.
    """

    models: dict[str, LearnerState] = field(default_factory=dict)
    epochs: dict[str, str] = field(default_factory=dict)
    reported: dict[Place, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    operations: int | None = None

    def load(self, key: bytes, value: bytes) -> None:
        """Take an entry of the changelog.

        Raises
        ------
        StateError
            When it is damaged or has a version that is not read.
        """
        kind, _, name = key.decode(errors="replace").partition(_SEPARATOR)
        if kind == "model":
            self.models[name] = LearnerState.decode(value, name)
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

        elif kind == "operations":
            what = "the position of operations in the trainer's changelog"
            with OPERATIONS.reading(what):
                position: dict[str, Any] = json.loads(value)
                OPERATIONS.check(position, what)
                self.operations = offset_of(position["next"])

    def _load_reported(self, name: str, value: bytes) -> None:
        topic, _, partition = name.rpartition(_SEPARATOR)
        what = f"the dead letters of {topic}[{partition}] in the trainer's changelog"
        with REPORTED.reading(what):
            raw: Mapping[str, Any] = json.loads(value)
            REPORTED.check(raw, what)
            self.reported[topic, int(partition)] = offset_of(raw["next"])

    def check_inputs(self, ids: Mapping[str, str]) -> None:
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
                    "and epochs are of another log; restore it, or stop all trainers and run `headrace "
                    "retrain` to have them learned anew from what is there"
                )


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
OPERATIONS_KEY = b"operations"


def encode_operations(next_offset: int) -> bytes:
    """Encode the offset of the models topic before which operations are folded."""
    return json.dumps({**OPERATIONS.stamp(), "next": next_offset}).encode()


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
