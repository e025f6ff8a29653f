"""What operators did, and what became of it: a view of the models topic."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from headrace.learners.models.operations import Operation, Outcome, is_operation, is_outcome
from headrace.schemas.errors import ModelError
from headrace.schemas.topics import ProjectTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import read_log

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deed:
    """An operation, with its place in the log.

    Attributes
    ----------
    operation
        What was to be done.
    offset
        Of the models topic.
    outcome
        What became of it; None while no trainer has folded it, or where it was none of this project's.
    """

    operation: Operation
    offset: int
    outcome: Outcome | None = None


def read_deeds(
    kafka: Kafka, project: str, learner: str | None = None, key: bytes | None = None, start: int = 0
) -> list[Deed]:
    """Return what operators did, of all learners or of one, in the order of the log.

    Parameters
    ----------
    key
        Operations that are not signed with it are left out; None: none are.
    start
        Offset of the models topic to read from.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    deeds: dict[str, Deed] = {}
    for found, offset in _records(kafka, project, key, start):
        if isinstance(found, Operation):
            deeds.setdefault(found.id, Deed(found, offset))
        elif (deed := deeds.get(found.id)) is not None and deed.outcome is None:
            deeds[found.id] = replace(deed, outcome=found)
    return [deed for deed in deeds.values() if learner in (None, deed.operation.learner)]


def _records(
    kafka: Kafka, project: str, key: bytes | None, start: int
) -> Iterator[tuple[Operation | Outcome, int]]:
    topic = ProjectTopics(project).models
    if topic not in KafkaAdmin(kafka).metadata().topics:
        return
    for message in read_log(kafka, topic, 0, start):
        try:
            if is_operation(message.key()):
                yield Operation.decode(message.value() or b"", project, key), message.offset()
            elif is_outcome(message.key()):
                yield Outcome.decode(message.value() or b""), message.offset()
        except ModelError as error:
            _log.warning("%s[0]@%d is left out: %s", topic, message.offset(), error)
