"""The consumer of the models topic: folds what operators have decided, each operation once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Message

from headrace.learners.models.operations import Operation, Outcome, is_operation
from headrace.learners.training.folding import Refused, fold
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.versions import LearnerVersions
from headrace.schemas.errors import ModelError
from headrace.schemas.plan import Plan
from headrace.streams.runtime.health import Sample

_log = logging.getLogger(__name__)


class BeginAnew(Exception):
    """Raised when the log has a reset: training goes on from what the log says, as after a crash."""


class OperationConsumer:
    """Folds operations into the versions of learners, in the order of the models topic.

    The effect of an operation, its outcome and the position behind it are one transaction; so a successor has
    the effect, or folds the operation itself.

    Parameters
    ----------
    plan
        The plan in force.
    key
        Signs operations; one that is not signed with it is a dead letter.
    position
        Next offset to read.
    versions
        By learner.
    log
        Takes the effects.
    announce
        Points to what serves of a learner.

    Attributes
    ----------
    topic
        The topic that is read.
    offset
        Next offset to read.
    """

    def __init__(
        self,
        plan: Plan,
        key: bytes,
        position: int,
        versions: Mapping[str, LearnerVersions],
        log: TrainingLog,
        announce: Callable[[str], None],
    ) -> None:
        self.topic, self.offset = plan.topics.models, position
        self._project, self._key = plan.project, key
        self._versions, self._log, self._announce = versions, log, announce
        self._pending: str | None = None  # a learner whose effect Redis has not taken

    def begin(self) -> None:
        """Have the log have the position, so that nothing is passed over by a successor."""
        self._log.begin_operations(self.offset)
        self._log.commit()

    def take(self, message: Message) -> None:
        """Fold the operation of one record; pass over any other record.

        Raises
        ------
        BeginAnew
            When training begins anew.
        """
        offset = int(message.offset() or 0)
        if offset >= self.offset:
            self.reach(offset + 1)
            if is_operation(message.key()):
                self._fold(message)
        self.tick()

    def tick(self) -> None:
        """Announce what is not announced yet."""
        if self._pending is not None:
            self._announce(self._pending)
            self._pending = None

    def reach(self, offset: int) -> None:
        """Advance to `offset`: nothing is left to fold before."""
        self.offset = max(self.offset, offset)
        self._log.reach_operation(self.offset)

    def finish(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def samples(self) -> Iterator[Sample]:
        """Yield metrics. Safe to call from any thread."""
        for learner, versions in self._versions.items():
            pinned = versions.state is not None and versions.state.steering.pinned is not None
            meaning = "1: an operator has pinned the version that serves"
            yield Sample("train_pinned", meaning, {"learner": learner}, float(pinned))

    def _fold(self, message: Message) -> None:
        try:
            operation = Operation.decode(message.value() or b"", self._project, self._key)
        except ModelError as error:
            _log.error("an operation is passed over: %s", error)
            self._log.dead_letter(message, str(error), "invalid")
            return
        versions = self._versions.get(operation.learner)
        if versions is None or versions.state is None:
            _log.warning("%s of learner '%s': no such learner", operation.kind, operation.learner)
            self._log.dead_letter(message, f"the plan has no learner '{operation.learner}'", "invalid")
            return
        before, refused = versions.state, None
        try:
            versions.fold(fold(before, operation))
        except Refused as error:
            refused = str(error)
        self._tell(operation, versions, refused)
        self._log.commit()
        self._pending = operation.learner
        if versions.state.steering.reset not in (None, before.steering.reset):
            raise BeginAnew

    def _tell(self, operation: Operation, versions: LearnerVersions, refused: str | None) -> None:
        assert versions.state is not None
        version = versions.state.serves.version
        words = operation.kind, operation.learner, operation.version or "", operation.who, operation.why
        _log.warning("%s %s %s by %s (%s): %s", *words, refused or f"{version} serves")
        self._log.outcome(
            Outcome(
                id=operation.id,
                learner=operation.learner,
                offset=versions.trainer.offset,
                version=version,
                refused=refused,
            )
        )
