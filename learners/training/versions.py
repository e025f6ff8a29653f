"""The versions of one learner: those that the log names, the next one, and the files of both."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.learners.models.pointers import ModelPointer
from headrace.learners.models.store import Artifact, ModelHeader, ModelStore
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.training.learner_state import DefinitionVersions, LearnerState
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.retention import opens_an_hour, retained
from headrace.learners.training.trainer import Trainer

_log = logging.getLogger(__name__)


@dataclass
class LearnerVersions:
    """A trainer of a learner, and how its versions are published.

    Attributes
    ----------
    router
        Whose examples it learns.
    era
        See `DefinitionVersions`, of the definition that is trained.
    state
        What the log says of all versions of the learner; None before the first.
    unrecorded
        Header and artifact of the newest version while the models topic does not have it.
    whole
        The last version whose record this process wrote whole: the first of an hour of event time, which
        retention keeps. The others are short.
    """

    trainer: Trainer
    router: str
    store: ModelStore
    log: TrainingLog
    era: int = 1
    state: LearnerState | None = None
    unrecorded: tuple[ModelHeader, str] | None = None
    whole: PublishedVersion | None = None

    @property
    def pointer(self) -> ModelPointer:
        """The version that serves, and the prefix that it stands for by now."""
        assert self.state is not None
        state, newest = self.state, self.state.serves
        if state.steering.pinned is not None:
            return ModelPointer(
                newest.version, newest.offset or 0, newest.artifact, state.era, is_chosen=True
            )
        offset = self.trainer.offset if self.serves else state.served.offset
        chosen = state.steering.turns > 0
        return ModelPointer(newest.version, offset, newest.artifact, state.era, is_chosen=chosen)

    @property
    def serves(self) -> bool:
        """Whether versions of the definition that is trained serve, not those of its predecessor."""
        return self.state is not None and self.state.serving == self.trainer.major

    @property
    def left_to_learn(self) -> int:
        """Records of the examples topic between here and the predecessor's prefix; 0 once there is none."""
        return (
            0 if self.state is None or self.serves else max(0, self.state.served.offset - self.trainer.offset)
        )

    @property
    def durable_offset(self) -> int:
        """Offset that a trainer goes on from which takes over."""
        named = self._named
        return 0 if named is None else named.offset

    @property
    def _held(self) -> tuple[str, ...]:
        return () if self.state is None else (*self.state.steering.held, self.state.serves.version)

    @property
    def _named(self) -> DefinitionVersions | None:
        """The versions of the definition that is trained, as far as the log names them."""
        trained = None if self.state is None else self.state.trained
        return trained if trained is not None and trained.major == self.trainer.major else None

    def record(self) -> None:
        """Add the newest version to the lineage. Comes before anything more is learned."""
        if self.unrecorded is None or self._named is None:
            return
        described = self.trainer.describe(*self.unrecorded)
        if self.whole is None or opens_an_hour(described.time_ms, self.whole.time_ms):
            self.log.record(described)
            self.whole = described
        else:
            self.log.record(described, self.whole)
        self._name(self._training(replace(self._named, recorded=True)), [])
        self.unrecorded = None

    def publish(self, artifact: Artifact, content: str) -> None:
        """Have the log name an artifact that was written as the newest version."""
        header, before = artifact.header, self._named
        named = NamedArtifact(header.version, content, header.time_ms, header.offset)
        kept = retained((*(before.kept if before else ()), named), self.store.keep, self._held)
        state = self._training(
            DefinitionVersions(
                header.definition, self.router, self.era, header.minor, header.offset, False, kept
            )
        )
        # Listed before the commit, removed after it: while the log takes what this process writes, nobody
        # comes after it, so none of these files is a successor's.
        others = self.store.others(header.name, [(one.version, one.artifact) for one in state.kept])
        if header.minor == 0:
            state = replace(state, steering=replace(state.steering, reset=None))
        self._name(state, others)
        self.unrecorded = header, content
        if header.minor == 0:  # so that the lineage has every major number that was ever given
            self.record()

    def succeed(self) -> bool:
        """Have the newest version serve in place of the predecessor's, once it may.

        Returns
        -------
        bool
            Whether that is new. The log is to be committed then, before anyone is pointed to it.
        """
        if self.state is None or self.serves or not self._may_succeed(self.state.served):
            return False
        _log.info(
            "%s: %s serves in place of %s", self.trainer.name, self.trainer.version, self.state.served.version
        )
        state = replace(self.state, serving=self.trainer.major)
        self._name(state.training(state.trained, self.store.keep), [])
        return True

    def fold(self, state: LearnerState) -> None:
        """Have the log have what an operator has decided; committed before anyone is pointed to it."""
        self._name(state, [])

    def _may_succeed(self, predecessor: DefinitionVersions) -> bool:
        """Whether the newest version has learned what the predecessor has; a gate's word belongs here."""
        return self.trainer.offset >= predecessor.offset and not self.trainer.unpublished

    def _training(self, versions: DefinitionVersions) -> LearnerState:
        before = self.state or LearnerState((), versions.major, versions.major)
        return before.training(versions, self.store.keep)

    def _name(self, state: LearnerState, others: list[Path]) -> None:
        self.state = state

        def remove() -> None:
            for path in others:
                path.unlink(missing_ok=True)

        self.log.name(self.trainer.name, state, remove)
