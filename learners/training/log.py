"""What the trainer writes to Kafka, as transactions that only the owner can commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from confluent_kafka import Message

from headrace.learners.models.operations import Outcome, outcome_key
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.training.changelog import (
    INPUTS_KEY,
    OPERATIONS_KEY,
    encode_inputs,
    encode_operations,
    encode_reported,
    epochs_key,
    model_key,
    reported_key,
)
from headrace.learners.training.learner_state import LearnerState
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.records import Epoch
from headrace.schemas.topics import ProjectTopics
from headrace.streams.log.records import LogRecord
from headrace.streams.log.transactions import Place, Records, TransactionalProducer
from headrace.streams.runtime.sole_owner import Ownership


class TrainingLog:
    """Gathers records and entries of the changelog, and commits them together or not at all.

    Parameters
    ----------
    producer
        Commits.
    topics
        Of the project.
    ownership
        Of this process; the group is asked whether it still counts.
    reported
        By partition of a topic, the offset before which dead letters are out.

    Attributes
    ----------
    urgent
        Whether something waits that nothing else will commit soon: dead letters.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        topics: ProjectTopics,
        ownership: Ownership,
        reported: dict[Place, int],
    ) -> None:
        self._producer, self._topics, self._ownership = producer, topics, ownership
        self._reported = dict(reported)
        self._records: list[Records] = []
        self._entries: dict[bytes, bytes] = {}
        self._offsets: dict[Place, int] = {}
        self._committed: list[Callable[[], None]] = []
        self._operations: int | None = None
        self.urgent = False

    def dead_letter(self, message: Message, reason: str, kind: Literal["malformed", "invalid"]) -> None:
        """Report a record that is of no use, unless that was committed before."""
        partition, record = int(message.partition() or 0), LogRecord.of_message(message)
        place = str(message.topic()), partition
        if record.offset < self._reported.get(place, 0):
            return
        dead_letter = DeadLetter.of_record(*place, record, kind, reason)
        key = f"{place[0]}/{partition}/{record.offset}".encode()
        self._records.append(Records(self._topics.dead_letters, 0, [(key, dead_letter.to_bytes())]))
        self._entries[reported_key(place)] = encode_reported(record.offset + 1)
        self.urgent = True

    def name(self, learner: str, state: LearnerState, committed: Callable[[], None]) -> None:
        """Say which artifacts of a learner count; `committed` is called once that is in the log."""
        self._entries[model_key(learner)] = state.encode()
        self._committed.append(committed)

    def record(self, version: PublishedVersion, whole: PublishedVersion | None = None) -> None:
        """Add a version to the lineage, shortly where a version is given whose record is whole."""
        value = version.encode() if whole is None else version.encode_shortly(whole)
        self._records.append(Records(self._topics.models, 0, [(version.name.encode(), value)]))

    def outcome(self, outcome: Outcome) -> None:
        """Say what became of an operation."""
        self._records.append(
            Records(self._topics.models, 0, [(outcome_key(outcome.learner), outcome.encode())])
        )

    def begin_operations(self, offset: int) -> None:
        """Have the position of operations committed, though nothing else is."""
        self._entries[OPERATIONS_KEY] = encode_operations(offset)

    def reach_operation(self, offset: int) -> None:
        """Note the prefix of the models topic whose operations are folded, for the next transaction."""
        self._operations = offset

    def epochs(self, topic: str, router: str, epochs: list[Epoch], state: str) -> None:
        """Add epochs to their topic, and the state that they follow from to the changelog."""
        self._records += [
            Records(topic, 0, [(None, epoch.to_bytes())], timestamp_ms=epoch.ts_ms) for epoch in epochs
        ]
        self._entries[epochs_key(router)] = state.encode()

    def bind(self, inputs: Mapping[str, str]) -> None:
        """Note the ids of the topics that all of this follows from."""
        self._entries[INPUTS_KEY] = encode_inputs(inputs)

    def reach(self, place: Place, offset: int) -> None:
        """Note the prefix of an input whose effects the log has; it is committed as the group's offset."""
        self._offsets[place] = offset

    def commit(self) -> None:
        """Commit what was gathered; blocks, and tries again while Kafka is away.

        Raises
        ------
        PartitionsLost
            When this process is not the owner any more. Nothing of the transaction is seen by anyone.
        """
        if not self._records and not self._entries:
            return
        if self._operations is not None:
            self._entries[OPERATIONS_KEY] = encode_operations(self._operations)
        entries = Records(self._topics.train_changelog, 0, list(self._entries.items()))
        self._producer.commit([*self._records, entries], self._offsets, self._ownership.member)
        committed, self._committed = self._committed, []
        self._records, self._entries, self.urgent = [], {}, False
        for each in committed:
            each()
