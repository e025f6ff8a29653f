"""The versions of one learner: those that the log names, the next one, and the files of both."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.learners.models.pointers import ModelPointer
from headrace.learners.models.store import Artifact, ModelHeader, ModelStore
from headrace.learners.models.versions import read_lineage_file
from headrace.learners.project import Project
from headrace.learners.training.changelog import NamedArtifact, NewestVersion
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.trainer import Trainer, describe
from headrace.schemas.errors import ModelError
from headrace.schemas.plan import Plan

_log = logging.getLogger(__name__)


@dataclass
class LearnerVersions:
    """A trainer of a learner, and how its versions are published.

    Attributes
    ----------
    newest
        What the log says of its versions; None before the first.
    unrecorded
        Header and artifact of the newest version while the models topic does not have it.
    """

    trainer: Trainer
    store: ModelStore
    log: TrainingLog
    newest: NewestVersion | None = None
    unrecorded: tuple[ModelHeader, str] | None = None

    @property
    def pointer(self) -> ModelPointer:
        """The newest version, and the prefix that it stands for by now."""
        assert self.newest is not None
        return ModelPointer(self.newest.version, self.trainer.offset, self.newest.kept[-1].artifact)

    @property
    def durable_offset(self) -> int:
        """Offset that a trainer goes on from which takes over."""
        return 0 if self.newest is None else self.newest.offset

    def record(self) -> None:
        """Add the newest version to the lineage. Comes before anything more is learned."""
        if self.unrecorded is None or self.newest is None:
            return
        self.log.record(self.trainer.describe(*self.unrecorded))
        self._name(replace(self.newest, recorded=True), [])
        self.unrecorded = None

    def publish(self, artifact: Artifact, content: str) -> None:
        """Have the log name an artifact that was written as the newest version."""
        version = NamedArtifact(artifact.header.version, content)
        kept = (*(self.newest.kept if self.newest else ()), version)[-self.store.keep :]
        newest = NewestVersion(artifact.header.offset, False, kept)
        # Listed before the commit, removed after it: while the log takes what this process writes, nobody
        # comes after it, so none of these files is a successor's.
        others = self.store.others(artifact.header.name, [(one.version, one.artifact) for one in kept])
        self._name(newest, others)
        self.unrecorded = artifact.header, content

    def _name(self, newest: NewestVersion, others: list[Path]) -> None:
        self.newest = newest

        def remove() -> None:
            for path in others:
                path.unlink(missing_ok=True)

        self.log.name(self.trainer.name, newest, remove)


def restore_versions(
    plan: Plan,
    project: Project,
    learner: str,
    store: ModelStore,
    log: TrainingLog,
    newest: NewestVersion | None,
) -> LearnerVersions:
    """Go on from the newest artifact of a learner that the log names.

    When its file is gone, from the one before: what it had learned is learned again.

    Raises
    ------
    ModelError
        When no file that the log names is there, or the one that is there cannot be read.
    """
    definition = project.learner(learner)
    if newest is None and (newest := _adopt(learner, store, log)) is None:
        return LearnerVersions(Trainer(plan, definition), store, log)
    there = [one for one in newest.kept if store.has(learner, one.version, one.artifact)]
    if not there:
        raise ModelError(
            f"the log names version {newest.version} of learner '{learner}', and '{store.directory}' has no "
            "artifact of it: have every `train` and `serve` use one model store (HEADRACE_DATA_DIR), or "
            f"delete topic {plan.topics.train_changelog} and run `headrace apply` to train everything anew"
        )
    version, content = there[-1].version, there[-1].artifact
    artifact = store.resume(learner, version, content)
    trainer = Trainer(plan, definition, artifact, newest.version)
    if version != newest.version:
        _log.warning("%s@%s: its artifact is gone, going on from %s", learner, newest.version, version)
        newest = NewestVersion(artifact.header.offset, True, tuple(there))
    elif not newest.recorded:
        newest = replace(newest, recorded=True)
        log.record(describe(artifact, content))
        log.name(learner, newest, lambda: None)
    return LearnerVersions(trainer, store, log, newest)


def _adopt(learner: str, store: ModelStore, log: TrainingLog) -> NewestVersion | None:
    """Take over the versions of a model store from before the log named them."""
    if not (found := store.written_before(learner)):
        return None
    kept = tuple(NamedArtifact(version, "") for version in found)[-store.keep :]
    header = store.load(learner, found[-1], "").header
    recorded = False
    for version in read_lineage_file(store.directory, learner):
        log.record(version)
        recorded |= version.version == header.version
    newest = NewestVersion(header.offset, recorded, kept)
    log.name(learner, newest, lambda: None)
    return newest
