"""Training of one learner: its model is a pure function of the examples topic up to an offset."""

from __future__ import annotations

import functools
import logging
import platform
import struct
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from headrace.learners.definitions import Learner
from headrace.learners.models.inputs import Inputs
from headrace.learners.models.metrics import ProgressiveValidation
from headrace.learners.models.project_code import project_code
from headrace.learners.models.scoring import Features
from headrace.learners.models.state_digest import state_digest
from headrace.learners.models.store import Artifact, ModelHeader
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.training.seen_ids import SeenIds
from headrace.learners.training.undo import UndoableModel
from headrace.schemas.domains import BINARY
from headrace.schemas.label_reader import Label, read_label
from headrace.schemas.marks import Mark, PartitionClocks, crosses
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example

_log = logging.getLogger(__name__)

_LENGTH = struct.Struct("<Q")


class Trainer:
    """Trains one learner on its examples topic.

    Parameters
    ----------
    plan
        Has the learner's inputs and its definition hash.
    learner
        Builds the model where no artifact has one.
    latest
        The artifact of the same definition that training goes on from; None: it begins at offset 0.
    major
        The first number of the versions, where it begins.
    parent
        The version that they succeed, where it begins.
    minor
        The minor number given last, where it is not that of the artifact: versions go on behind it.

    Attributes
    ----------
    offset
        The prefix ``[0, offset)`` of the topic has been learned.
    examples, poisoned, duplicates
        Number of examples learned in it, of those on which the model raised, and of those that came again.
    unpublished
        Number of examples learned since the last version.
    first_ms, last_ms
        Bounds of the event times learned; None before the first example.
    mark_ms
        The event time that marks of all partitions have reached, epoch milliseconds; None before that.
    major, minor
        The version published last; minor is -1 before the first of a definition.
    """

    def __init__(
        self,
        plan: Plan,
        learner: Learner,
        latest: Artifact | None = None,
        *,
        major: int = 1,
        parent: str | None = None,
        minor: int | None = None,
    ) -> None:
        self._spec = plan.learner(learner.name)
        self._plan_hash = plan.hash
        self._inputs = Inputs(plan, self._spec)
        model = learner.model()
        self._code = project_code(model)
        self._warned_of: set[str] = set()  # request fields
        self.unpublished = 0
        if latest is None:
            self._begin(model, major, parent)
        else:
            self._resume(latest)
            self.minor = latest.header.minor if minor is None else minor

    @classmethod
    def anew(
        cls,
        plan: Plan,
        learner: Learner,
        major: int,
        parent: str,
        begins: Artifact | None,
        skip_to: int | None,
    ) -> Trainer:
        """Return a trainer under a new major number.

        Parameters
        ----------
        parent
            The version that is succeeded, where training begins at the beginning.
        begins
            The version whose model training begins from, which is the parent then; None: from the beginning.
        skip_to
            What lies between that version and this offset is not learned.
        """
        if begins is None:
            return cls(plan, learner, major=major, parent=parent)
        trainer = cls(plan, learner, begins, minor=-1)
        trainer.major = major
        trainer.reach(skip_to or 0)
        return trainer

    def _begin(self, model: Any, major: int, parent: str | None) -> None:
        self._undoable = UndoableModel(model, self._spec.domain)
        self.major, self.minor = major, -1
        self.offset = self.examples = self.poisoned = self.duplicates = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.mark_ms: int | None = None
        self._marks = PartitionClocks()
        self._parent = parent
        self._validation, self._seen = ProgressiveValidation(self._spec.domain), SeenIds()

    def _resume(self, latest: Artifact) -> None:
        header = latest.header
        self._undoable = UndoableModel(latest.model, self._spec.domain)
        self.major = header.major
        self.offset, self.examples = header.offset, header.examples
        self.poisoned, self.duplicates = header.poisoned, header.duplicates
        self.first_ms, self.last_ms, self.mark_ms = header.first_ms, header.last_ms, header.mark_ms
        self._marks = PartitionClocks(latest.marks or {"all": header.mark_ms})
        self._inputs = self._inputs.bound(latest.kinds)
        self._parent = header.version
        self._validation, self._seen = _memory(latest)

    @property
    def model(self) -> Any:
        """The river estimator."""
        return self._undoable.model

    @property
    def inputs(self) -> Inputs:
        """What the model reads, with the kinds that it has learned."""
        return self._inputs

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def definition(self) -> str:
        """See `definition_hash`."""
        return self._spec.definition

    @property
    def version(self) -> str:
        """The version published last, ``major.minor``."""
        return f"{self.major}.{self.minor}"

    def take(self, offset: int, example: Example) -> str | None:
        """Validate on an example, then learn it.

        An example before `offset` is passed over. A duplicate, and an example on which the model raises or
        after which it would answer with no finite number, is counted and not learned.

        Returns
        -------
        str or None
            The exception that the model raised, as text.
        """
        if offset < self.offset:
            return None
        self.offset = offset + 1
        if not self._seen.add(example.example_id):
            self.duplicates += 1
            return None
        try:
            self._learn(example)
        except (Exception, SystemExit) as error:  # a model may hold any function
            self.poisoned += 1
            return f"{type(error).__name__}: {error}"
        return None

    def _learn(self, example: Example) -> None:
        x = self._inputs.of_prediction(example.prediction)
        label = self._label(example)
        self._validation.update(self._undoable.learn(x, label), label)
        self._bind(example, x)
        self.examples += 1
        self.unpublished += 1
        ts_ms = example.prediction.ts_ms
        self.first_ms = ts_ms if self.first_ms is None else min(self.first_ms, ts_ms)
        self.last_ms = ts_ms if self.last_ms is None else max(self.last_ms, ts_ms)

    def _label(self, example: Example) -> Label:
        """Return the label; raises `LabelError` where the log has one that is none of the target.

        Logs have binary labels of before there were kinds: any numbers, positive from 0.5 on.
        """
        spec = self._spec
        if spec.domain == BINARY and not isinstance(example.label, str):
            return example.label
        return read_label(spec.target, spec.domain, example.label)

    def _bind(self, example: Example, x: Features) -> None:
        """Bind request fields that nothing declares to the kinds that the model has now learned."""
        if kinds := self._inputs.unbound(x):
            self._inputs = self._inputs.bound({**self._inputs.kinds, **kinds})
        for name in self._inputs.left_out(example.prediction.request, x):
            if name not in self._warned_of:
                self._warned_of.add(name)
                _log.warning(
                    "learner '%s': request field '%s' was a %s when it was learned first, and is none in %s: "
                    "such values are left out. Have one kind sent, or declare the field in a RequestSource",
                    *(self.name, name, self._inputs.kinds[name], example.example_id),
                )

    def mark(self, offset: int, mark: Mark, every_ms: int) -> bool:
        """Advance to a time mark. True when `mark_ms` crosses a multiple of `every_ms`; 0: never."""
        if offset < self.offset:
            return False
        self.offset = offset + 1
        before, self.mark_ms = self.mark_ms, self._marks.advance(mark)
        return every_ms > 0 and self.mark_ms is not None and crosses(before, self.mark_ms, every_ms)

    def reach(self, offset: int) -> None:
        """Advance to `offset`: nothing is left to learn before."""
        self.offset = max(self.offset, offset)

    def checkpoint(self) -> Artifact:
        """Return the next version, with everything needed to go on from it. The model is not copied."""
        self.minor += 1
        header = ModelHeader(
            name=self.name,
            major=self.major,
            minor=self.minor,
            parent=self._parent,
            offset=self.offset,
            examples=self.examples,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            mark_ms=self.mark_ms,
            definition=self._spec.definition,
            plan_hash=self._plan_hash,
            libraries=dict(_libraries()),
            created_ms=time.time_ns() // 1_000_000,
            poisoned=self.poisoned,
            duplicates=self.duplicates,
        )
        self._parent, self.unpublished = header.version, 0
        validation = self._validation.to_bytes()
        memory = _LENGTH.pack(len(validation)) + validation + self._seen.to_bytes()
        return Artifact(
            header,
            self.model,
            memory,
            self._marks.encode(),
            self._inputs.kinds,
            self._inputs.declared,
            self._code,
        )

    def describe(self, header: ModelHeader, artifact: str = "") -> PublishedVersion:
        """Return the version of a checkpoint for the lineage. Nothing may have been learned since."""
        return PublishedVersion(
            **vars(header),
            metrics=self._validation.summary(),
            digest=state_digest(self.model),
            artifact=artifact,
        )


def replay(plan: Plan, learner: Learner, examples: Iterable[tuple[int, Example]], to_offset: int) -> str:
    """Return the state digest after learning the prefix ``[0, to_offset)`` from the beginning.

    Equals the digest in the lineage of the version with that offset and definition.

    Parameters
    ----------
    examples
        Pairs of offset and example in offset order.
    """
    trainer = Trainer(plan, learner)
    for offset, example in examples:
        if offset >= to_offset:
            break
        trainer.take(offset, example)
    return state_digest(trainer.model)


def describe(artifact: Artifact, name: str) -> PublishedVersion:
    """Return the version of an artifact, whose content has this name, for the lineage."""
    validation, _ = _memory(artifact)
    digest = state_digest(artifact.model)
    return PublishedVersion(
        **vars(artifact.header), metrics=validation.summary(), digest=digest, artifact=name
    )


def _memory(artifact: Artifact) -> tuple[ProgressiveValidation, SeenIds]:
    memory = artifact.memory
    end = _LENGTH.size + _LENGTH.unpack_from(memory)[0]
    return ProgressiveValidation.from_bytes(memory[_LENGTH.size : end]), SeenIds(memory[end:])


@functools.cache
def _libraries() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("headrace", "river", "numpy")
    }
