"""What an operator sees of the models of a project, and does with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from headrace.learners.models.history import Deed, read_deeds
from headrace.learners.models.operations import MOST_WORDS, Kind, Operation, submit
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.training.changelog import read_state
from headrace.learners.training.folding import Refused, fold
from headrace.learners.training.learner_state import LearnerState
from headrace.schemas.errors import ModelError, RequestError, UnknownNameError
from headrace.schemas.plan import Plan
from headrace.schemas.printable import printable
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import end_offset
from headrace.streams.runtime.restoring import Restoring

_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class ListedVersion:
    """A version in a list.

    Attributes
    ----------
    published
        Its record.
    kept
        Whether its artifact is kept; of others `replay` makes the model again.
    serves, pinned, held
        Whether it serves; by the word of an operator; whether it ever was pinned or promoted.
    """

    published: PublishedVersion
    kept: bool
    serves: bool
    pinned: bool
    held: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        marks = {name: getattr(self, name) for name in ("kept", "serves", "pinned", "held")}
        return {"version": self.published.version} | marks | vars(self.published)


class ModelDesk:
    """Reads the log of a project, and writes operations into it.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    plan
        The plan in force.
    key
        Signs operations.
    """

    def __init__(self, kafka: Kafka, plan: Plan, key: bytes) -> None:
        self._kafka, self._plan, self._key = kafka, plan, key

    def versions(self, learner: str) -> list[ListedVersion]:
        """Return all versions of a learner, the oldest first.

        Raises
        ------
        UnknownNameError
            When the plan has no such learner.
        """
        state = self.state(learner)
        return [_listed(one, state) for one in read_versions(self._kafka, self._plan.project, learner)]

    def kept(self, learner: str) -> list[ListedVersion]:
        """Return the versions of a learner whose artifacts are kept; raises as `versions` does."""
        return [one for one in self.versions(learner) if one.kept]

    def find(self, learner: str, version: str | None) -> ListedVersion:
        """Return a version of a learner; None: the one that serves.

        Raises
        ------
        UnknownNameError
            When the plan has no such learner, or it no such version.
        """
        versions = self.versions(learner)
        for one in versions:
            if one.serves if version is None else one.published.version == version:
                return one
        there = [one.published.version for one in versions[-10:]]
        raise UnknownNameError(f"version of learner '{learner}'", version or "that serves", there)

    def deeds(self, learner: str | None = None) -> list[Deed]:
        """Return what operators of this project did, in the order of the log."""
        return read_deeds(self._kafka, self._plan.project, learner, self._key)

    def state(self, learner: str) -> LearnerState:
        """Return what the log says of a learner.

        Raises
        ------
        UnknownNameError
            When the plan has no such learner.
        ModelError
            When nothing has been published of it.
        """
        self._plan.learner(learner)
        found = read_state(self._kafka, self._plan.topics.train_changelog, Restoring()).models.get(learner)
        if found is None:
            raise ModelError(f"learner '{learner}' has no version yet: run `headrace train`")
        return found

    def order(
        self, kind: Kind, learner: str, version: str | None, who: str, why: str, skip: bool = False
    ) -> Deed:
        """Write an operation into the log, if it can have an effect.

        Parameters
        ----------
        version
            None: of ``pin`` the one that serves, of ``promote`` the newest, of ``rollback`` the one kept
            before the one that serves, of ``reset`` the beginning.
        who, why
            Who does it, and the reason; not empty.
        skip
            Of ``reset`` from a version: what has come after it is not learned again.

        Raises
        ------
        RequestError
            When who or why are missing.
        UnknownNameError
            When the plan has no such learner.
        ModelError
            When it could have no effect, with the reason.
        ServiceUnavailable
            When Kafka does not take it. It may be given again: in force already, it changes nothing.
        """
        who, why = _words("who", who), _words("why", why)
        state = self.state(learner)
        if skip and (kind != "reset" or version is None):
            raise RequestError("skip", "it is of a reset from a version", "Name the version to begin from")
        operation = Operation(
            kind=kind,
            learner=learner,
            version=version if version or kind == "reset" else _meant(kind, learner, state),
            who=who,
            why=why,
            ts_ms=time.time_ns() // 1_000_000,
            skip_to=self._end(learner) if skip else None,
        )
        try:
            fold(state, operation)
        except Refused as error:
            raise ModelError(str(error)) from error
        start = end_offset(self._kafka, self._plan.topics.models, 0)
        submit(self._kafka, self._plan.project, operation, self._key)
        return Deed(operation, start)

    def await_outcome(self, deed: Deed, timeout_s: float) -> Deed:
        """Return the deed with its outcome; without one when no trainer has folded it in time."""
        until_s = time.monotonic() + timeout_s
        while True:
            found = read_deeds(self._kafka, self._plan.project, None, self._key, deed.offset)
            mine = next((one for one in found if one.operation.id == deed.operation.id), deed)
            if mine.outcome is not None or time.monotonic() > until_s:
                return mine
            time.sleep(_LOOK_S)

    def _end(self, learner: str) -> int:
        router = next(router for router in self._plan.routers if learner in router.arms)
        topic = self._plan.topics.router(router.name).examples
        return end_offsets(self._kafka, [topic]).get((topic, 0), 0)


def differences(one: PublishedVersion, other: PublishedVersion) -> Iterator[tuple[str, Any, Any]]:
    """Yield what two versions differ in: the name of a field or a metric, and both values."""
    for name in vars(one):
        first, second = getattr(one, name), getattr(other, name)
        if isinstance(first, dict) and isinstance(second, dict):
            for key in sorted({*first, *second}):
                if first.get(key) != second.get(key):
                    yield f"{name}.{key}", first.get(key), second.get(key)
        elif first != second:
            yield name, first, second


def _listed(published: PublishedVersion, state: LearnerState) -> ListedVersion:
    version = published.version
    return ListedVersion(
        published,
        state.find(version) is not None,
        state.serves.version == version,
        state.steering.pinned == version,
        version in state.steering.held,
    )


def _meant(kind: Kind, learner: str, state: LearnerState) -> str | None:
    if kind == "pin":
        return state.serves.version
    if kind == "promote":
        return state.trained.version
    if kind == "rollback":
        kept = [one.version for one in state.served.kept]
        before = kept[: kept.index(state.serves.version)] if state.serves.version in kept else []
        if not before:
            raise ModelError(
                f"no version of learner '{learner}' before {state.serves.version} is kept; name one of "
                f"`headrace models list {learner}`"
            )
        return before[-1]
    return None


def _words(name: str, value: str) -> str:
    value = printable(value.strip())
    if not value:
        raise RequestError(name, "it is empty", f"Say {name}: it stays in the log")
    if len(value) > MOST_WORDS:
        raise RequestError(name, f"it has {len(value)} characters", f"Use {MOST_WORDS} at most")
    return value
