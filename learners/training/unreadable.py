"""Artifacts that the log names and this process cannot read, told all at once with one remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.learners.models.store import ModelStore
from headrace.learners.training.learner_state import LearnerState
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.schemas.errors import ModelError
from headrace.schemas.plan import Plan


def unreadable_artifacts(
    plan: Plan, store: ModelStore, learners: Iterable[str], models: Mapping[str, LearnerState]
) -> ModelError | None:
    """Return what keeps learners from going on from the artifacts that are there; None where nothing does.

    Parameters
    ----------
    learners
        Their names.
    models
        What the log says of their versions.
    """
    definitions = {learner.name: learner.definition for learner in plan.learners}
    told = {
        name: _faults(store, name, definitions.get(name), models.get(name)) for name in sorted({*learners})
    }
    faults = {name: found for name, found in told.items() if found}
    if not faults:
        return None
    lines = [f"  {name}: {fault}" for name, found in faults.items() for fault in found]
    return ModelError(
        "\n".join(
            [
                f"artifacts of {len(faults)} learners in '{store.directory}' cannot be read:",
                *lines,
                "Run `train` with the key and the version of Headrace that they were written with. Or, to "
                "train everything anew from the examples topic: move the folder away, stop all trainers and "
                "run `headrace retrain`",
            ]
        )
    )


def _faults(store: ModelStore, learner: str, definition: str | None, state: LearnerState | None) -> list[str]:
    """Why the artifacts of a learner's definition cannot be read, unless the newest can."""
    if state is None:
        kept = [NamedArtifact(one, "") for one in store.written_before(learner)]
    else:
        same = [one for one in state.definitions if one.definition in (definition, None)]
        kept = [artifact for one in same or [state.trained] for artifact in one.kept]
    there = [one for one in kept if store.has(learner, one.version, one.artifact)]
    faults = [_fault(store, learner, one) for one in there]
    return [fault for fault in faults if fault] if faults and faults[-1] else []


def _fault(store: ModelStore, learner: str, one: NamedArtifact) -> str:
    try:
        store.resume(learner, one.version, one.artifact)
    except ModelError as error:
        if store.is_damaged(learner, one.version, one.artifact):
            return f"the artifact of model {learner}@{one.version} is damaged: its name is of another content"
        return str(error)
    return ""
