"""What operators do with models: records of the models topic, with who, when and why."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from pydantic import TypeAdapter

from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import ModelError
from headrace.schemas.signatures import Signer
from headrace.schemas.topics import ProjectTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.producer import LogProducer

OPERATION = Encoding(version=1, remedy="run this process with that version", error=ModelError)
Kind = Literal["pin", "unpin", "rollback", "promote", "reset"]
KINDS: Final = get_args(Kind)
_KEY, _OUTCOME = "operation|", "operation-outcome|"  # no name of a learner has a bar
MOST_WORDS: Final = 2000  # characters of `who` and of `why`
_PATIENCE_MS: Final = 15_000  # while Kafka is away


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What an operator wants done with a learner.

    Attributes
    ----------
    kind
        ``pin`` and ``rollback`` have a version serve until it is unpinned or another promoted; ``promote``
        has a version serve in spite of what holds it back, and its successors after it; ``reset`` trains
        anew.
    learner
        Its name.
    version
        ``major.minor``; of ``reset`` the one to begin from, None for the beginning; None of ``unpin``.
    who, why
        Who did it, and the reason that was given.
    ts_ms
        When, epoch milliseconds, by the clock of who did it.
    skip_to
        Of ``reset`` from a version: the offset of the examples topic before which nothing is learned again;
        None: everything after the version is.
    id
        Of this operation; one that comes again has no effect.
    """

    kind: Kind
    learner: str
    version: str | None
    who: str
    why: str
    ts_ms: int
    skip_to: int | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def encode(self, project: str, key: bytes) -> bytes:
        """Encode the operation as a record of the models topic, signed for its project."""
        signature = Signer(key, "operation").sign(*self._words(project))
        return json.dumps(OPERATION.stamp() | vars(self) | {"signature": signature}).encode()

    def _words(self, project: str) -> list[str]:
        return [project, *(json.dumps(getattr(self, one.name)) for one in fields(self))]

    @classmethod
    def decode(cls, raw: bytes, project: str, key: bytes | None) -> Operation:
        """Decode what `encode` encoded; without a key the signature is not looked at.

        Raises
        ------
        ModelError
            When it is no such record, or not signed with the key for this project.
        """
        what = "an operation in the models topic"
        with OPERATION.reading(what):
            found: dict[str, Any] = json.loads(raw)
            OPERATION.check(found, what)
            signature = found.pop("signature")
            values = {name: value for name, value in found.items() if name not in ("v", "by")}
            operation = _OPERATIONS.validate_python(values)
        if key is not None and not Signer(key, "operation").fits(signature, *operation._words(project)):
            raise ModelError(
                f"{operation.kind} of learner '{operation.learner}' by {operation.who} is not signed with "
                f"the key of project '{project}' (HEADRACE_MODEL_KEY): give the command the settings of this "
                "project"
            )
        return operation


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an operation.

    Attributes
    ----------
    id
        Of the operation.
    learner
        Its name.
    offset
        Prefix of the examples topic that the learner had learned: the place at which it was folded.
    version
        The version that serves from there on.
    refused
        Why it had no effect; None when it had one, or was in force already.
    """

    id: str
    learner: str
    offset: int
    version: str
    refused: str | None = None

    def encode(self) -> bytes:
        """Encode the outcome as a record of the models topic."""
        return json.dumps(OPERATION.stamp() | vars(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Outcome:
        """Decode what `encode` encoded; raises a `ModelError` for anything else."""
        what = "the outcome of an operation in the models topic"
        with OPERATION.reading(what):
            found: dict[str, Any] = json.loads(raw)
            OPERATION.check(found, what)
            values = {name: value for name, value in found.items() if name not in ("v", "by")}
            return _OUTCOMES.validate_python(values)


_OPERATIONS, _OUTCOMES = TypeAdapter(Operation), TypeAdapter(Outcome)


def operation_key(learner: str) -> bytes:
    """Return the key of a record that is an operation."""
    return (_KEY + learner).encode()


def outcome_key(learner: str) -> bytes:
    """Return the key of a record that is the outcome of an operation."""
    return (_OUTCOME + learner).encode()


def is_operation(key: bytes | None) -> bool:
    """Whether a record of the models topic with this key is an operation."""
    return (key or b"").startswith(_KEY.encode())


def is_outcome(key: bytes | None) -> bool:
    """Whether a record of the models topic with this key is the outcome of an operation."""
    return (key or b"").startswith(_OUTCOME.encode())


def submit(kafka: Kafka, project: str, operation: Operation, key: bytes) -> None:
    """Append an operation to the models topic, and return once Kafka has it.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not take it.
    """
    producer = LogProducer(kafka, {"message.timeout.ms": _PATIENCE_MS})
    topic = ProjectTopics(project).models
    producer.send(topic, 0, operation_key(operation.learner), operation.encode(project, key))
    producer.flush_blocking()
