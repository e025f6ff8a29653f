"""The effect of an operation on the versions of a learner: a function of the log."""

from __future__ import annotations

from dataclasses import replace

from headrace.learners.models.operations import Operation
from headrace.learners.training.learner_state import LearnerState
from headrace.learners.training.steering import Reset, Steering


class Refused(Exception):
    """Raised for an operation that has no effect; says why, and what to do."""


def fold(state: LearnerState, operation: Operation) -> LearnerState:
    """Return the state behind an operation; the same state where it is in force, or was folded before.

    Raises
    ------
    Refused
        When it cannot have an effect.
    """
    if operation.id in state.steering.known:
        return state
    folded = _FOLDS[operation.kind](state, operation)
    return replace(folded, steering=folded.steering.knowing(operation.id))


def _pin(state: LearnerState, operation: Operation) -> LearnerState:
    version = _kept(state, operation)
    if state.steering.pinned == version:
        return state
    return state.turned(replace(state.steering.holding(version), pinned=version))


def _unpin(state: LearnerState, operation: Operation) -> LearnerState:
    if state.steering.pinned is None:
        return state
    return state.turned(replace(state.steering, pinned=None))


def _promote(state: LearnerState, operation: Operation) -> LearnerState:
    version = _kept(state, operation)
    major = int(version.partition(".")[0])
    if major not in (state.serving, state.trained.major):
        raise Refused(
            f"{operation.learner}@{version} is of a definition that is trained no more, so nothing comes "
            f"after it: `headrace models rollback {operation.learner}@{version}` has it serve"
        )
    if state.steering.pinned is None and major == state.serving:
        return replace(state, steering=state.steering.holding(version))
    return state.turned(replace(state.steering.holding(version), pinned=None), major)


def _reset(state: LearnerState, operation: Operation) -> LearnerState:
    if operation.version is not None:
        version = _kept(state, operation)
        of = next(one for one in state.definitions if one.major == int(version.partition(".")[0]))
        if not of.is_like(state.trained):
            raise Refused(
                f"{operation.learner}@{version} is of another definition than the one in force; apply that "
                "one again, or reset to the beginning"
            )
    steering: Steering = state.steering
    if operation.version is not None:
        steering = steering.holding(operation.version)
    return replace(state, steering=replace(steering, reset=Reset(operation.version, operation.skip_to)))


_FOLDS = {"pin": _pin, "rollback": _pin, "unpin": _unpin, "promote": _promote, "reset": _reset}


def _kept(state: LearnerState, operation: Operation) -> str:
    named = state.find(operation.version)
    if named is None:
        there = ", ".join(one.version for one in state.kept[-10:])
        raise Refused(
            f"no artifact of {operation.learner}@{operation.version} is kept: it was thinned, or there never "
            f"was such a version. The last ones kept are {there}; `headrace models list "
            f"{operation.learner}` has all"
        )
    return named.version
