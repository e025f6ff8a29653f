"""What a trainer goes on from: the versions of its definition, those of the one before, or nothing yet."""

from __future__ import annotations

import logging
from dataclasses import replace

from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import read_lineage_file
from headrace.learners.project import Project
from headrace.learners.training.learner_state import DefinitionVersions, LearnerState, state_of_artifacts
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.past import Past
from headrace.learners.training.trainer import Trainer, describe
from headrace.learners.training.versions import LearnerVersions
from headrace.schemas.errors import HeadraceError, ModelError
from headrace.schemas.plan import Plan

_log = logging.getLogger(__name__)


def restore_versions(
    plan: Plan,
    project: Project,
    router: str,
    learner: str,
    store: ModelStore,
    log: TrainingLog,
    state: LearnerState | None,
    past: Past,
) -> LearnerVersions:
    """Go on from the newest artifact of the plan's definition that the log names; begin where it has none.

    When its file is gone, from the one before: what it had learned is learned again. A definition that was
    trained before another one is taken up again where it was left, if a file of it is there.

    Parameters
    ----------
    state
        What the log says; None: nothing.
    past
        What the lineage knows of the learner where the log says nothing.

    Raises
    ------
    ModelError
        When no file that the log names is there, or none of the definition that was trained last and is to
        go on, or when the one that is there cannot be read.
    """
    definition = project.learner(learner)
    state = state or _adopt(learner, store, log)
    if state is None:
        before = past.state(router, learner, store)
        parent, era = (before.served.version, before.trained.era + 1) if before else (None, 1)
        trainer = Trainer(plan, definition, major=past.major(learner) + 1, parent=parent)
        return LearnerVersions(trainer, router, store, log, era, before)
    state = _with_definitions(learner, store, state)
    if state.steering.reset is not None:
        return _begun_anew(plan, project, router, learner, store, log, state)
    own = state.of(plan.learner(learner).definition, router)
    needed = own.kept if own is state.trained else state.kept
    if not any(store.has(learner, one.version, one.artifact) for one in needed):
        raise _nothing_there(learner, store, state)
    if own is not state.trained:
        state = _recorded(learner, store, log, state)
        _tell_of_change(learner, state, own)
    there = [] if own is None else [one for one in own.kept if store.has(learner, one.version, one.artifact)]
    era = state.trained.era + (own is not state.trained)
    if own is None or not there:
        trainer = Trainer(plan, definition, major=state.majors + 1, parent=state.served.version)
        return LearnerVersions(trainer, router, store, log, era, state)
    versions = replace(own, router=router, era=era, kept=tuple(there))
    return _resumed(plan, project, learner, store, log, state, versions, own)


def _begun_anew(
    plan: Plan,
    project: Project,
    router: str,
    learner: str,
    store: ModelStore,
    log: TrainingLog,
    state: LearnerState,
) -> LearnerVersions:
    """Begin a new major number, as an operator has decided; its first version ends the reset."""
    reset = state.steering.reset
    assert reset is not None
    named = state.find(reset.version)
    if reset.version is not None and named is None:
        raise _nothing_there(learner, store, state)
    begins = None if named is None else store.resume(learner, named.version, named.artifact)
    if begins is not None and begins.header.definition != plan.learner(learner).definition:
        begins = None  # it has changed since: another definition begins at the beginning
    definition, parent = project.learner(learner), state.trained.version
    trainer = Trainer.anew(plan, definition, state.majors + 1, parent, begins, reset.skip_to)
    return LearnerVersions(trainer, router, store, log, state.trained.era + 1, state)


def _resumed(
    plan: Plan,
    project: Project,
    learner: str,
    store: ModelStore,
    log: TrainingLog,
    state: LearnerState,
    versions: DefinitionVersions,
    named: DefinitionVersions,
) -> LearnerVersions:
    """Go on from the newest of versions whose files are there."""
    newest = versions.kept[-1]
    artifact = store.resume(learner, newest.version, newest.artifact)
    trainer = Trainer(plan, project.learner(learner), artifact, minor=versions.minor)
    router = str(versions.router)
    if newest != named.kept[-1]:
        _log.warning("%s@%s: its artifact is gone, going on from %s", learner, named.version, newest.version)
        versions = replace(versions, offset=artifact.header.offset, recorded=True)
    elif not versions.recorded:
        versions = replace(versions, recorded=True)
        log.record(describe(artifact, newest.artifact))
    before, state = state, state.training(versions, store.keep)
    if state != before:
        log.name(learner, state, lambda: None)
    return LearnerVersions(trainer, router, store, log, versions.era, state)


def _with_definitions(learner: str, store: ModelStore, state: LearnerState) -> LearnerState:
    """Return the state with the definitions that the log does not tell, as far as artifacts tell them."""
    told = (one if one.definition else _told(learner, store, one) for one in state.definitions)
    return replace(state, definitions=tuple(told))


def _told(learner: str, store: ModelStore, versions: DefinitionVersions) -> DefinitionVersions:
    for named in reversed(versions.kept):
        if store.has(learner, named.version, named.artifact):
            header = store.header(learner, named.version, named.artifact)
            return replace(versions, definition=header.definition, offset=header.offset)
    return versions


def _nothing_there(learner: str, store: ModelStore, state: LearnerState) -> ModelError:
    return ModelError(
        f"the log names version {state.trained.version} of learner '{learner}', and '{store.directory}' has "
        "no artifact of it: have every `train` and `serve` use one model store (HEADRACE_DATA_DIR), or "
        "stop all trainers and run `headrace retrain` to train everything anew"
    )


def _recorded(learner: str, store: ModelStore, log: TrainingLog, state: LearnerState) -> LearnerState:
    """Record the newest version of the definition before, where its trainer did not come to that."""
    last, newest = state.trained, state.trained.kept[-1]
    if last.recorded:
        return state
    try:
        log.record(describe(store.resume(learner, newest.version, newest.artifact), newest.artifact))
    except HeadraceError as error:  # of classes that learners.py has no more
        _log.warning("%s@%s is left out of the lineage: %s", learner, newest.version, error)
    state = state.training(replace(last, recorded=True), store.keep)
    log.name(learner, state, lambda: None)
    return state


def _tell_of_change(learner: str, state: LearnerState, own: DefinitionVersions | None) -> None:
    taken_up = "learning begins at offset 0" if own is None else f"{own.version} is taken up again"
    _log.warning(
        "%s: another definition than that of %s: %s; %s serves until as much is learned",
        *(learner, state.trained.version, taken_up, state.served.version),
    )


def _adopt(learner: str, store: ModelStore, log: TrainingLog) -> LearnerState | None:
    """Take over the versions of a model store from before the log named them."""
    if not (found := store.written_before(learner)):
        return None
    kept = tuple(NamedArtifact(version, "") for version in found)[-store.keep :]
    header = store.load(learner, found[-1], "").header
    recorded = False
    for version in read_lineage_file(store.directory, learner):
        log.record(version)
        recorded |= version.version == header.version
    state = state_of_artifacts(header.offset, recorded, kept)
    log.name(learner, state, lambda: None)
    return state
