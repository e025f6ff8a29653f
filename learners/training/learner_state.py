"""The versions of a learner as the trainer's changelog has them: by definition, and which of them serves."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from headrace.learners.models.store import names_artifact
from headrace.learners.routing.epochs import REMEDY
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.steering import Steering
from headrace.schemas.encodings import Encoding

NEWEST = Encoding(
    version=3,
    older=(1, 2),  # of the newest definition alone, which is not told; without times
    remedy=REMEDY,
)


@dataclass(frozen=True)
class DefinitionVersions:
    """The versions of a learner by one definition, which have one major number.

    Attributes
    ----------
    definition
        See `definition_hash`; None of an entry from before it was told.
    router
        Whose examples were learned; None of an entry from before it was told.
    era
        How often the definition had changed when training by this one began, or was taken up again. Of two
        definitions the one trained later has the greater.
    minor
        The greatest minor number that was given.
    offset
        Prefix of the examples topic that the newest version stands for.
    recorded
        Whether the newest is in the models topic, with its metrics and digest.
    kept
        Those whose artifacts are kept, the newest last; never empty.
    """

    definition: str | None
    router: str | None
    era: int
    minor: int
    offset: int
    recorded: bool
    kept: tuple[NamedArtifact, ...]

    @property
    def major(self) -> int:
        """The first number of these versions."""
        return self.kept[-1].major

    def is_like(self, other: DefinitionVersions) -> bool:
        """Whether both are of one definition and of the examples of one router: one was begun anew."""
        return (self.definition, self.router) == (other.definition, other.router)

    @property
    def version(self) -> str:
        """The newest version that has an artifact."""
        return self.kept[-1].version


@dataclass(frozen=True)
class LearnerState:
    """All versions of a learner that count.

    Attributes
    ----------
    definitions
        By the time that they were trained; the last one is trained now.
    serving
        Major number of the definition whose newest version serves.
    majors
        The greatest major number that was given. No number is given twice, whatever is forgotten.
    steering
        What operators have decided.
    """

    definitions: tuple[DefinitionVersions, ...]
    serving: int
    majors: int
    steering: Steering = field(default_factory=Steering)

    @property
    def trained(self) -> DefinitionVersions:
        """The versions of the definition that is trained."""
        return self.definitions[-1]

    @property
    def served(self) -> DefinitionVersions:
        """The versions of the definition that serves: the trained one, or its predecessor."""
        return next(one for one in self.definitions if one.major == self.serving)

    @property
    def serves(self) -> NamedArtifact:
        """The version that serves: the pinned one, or the newest of the definition that serves."""
        pinned = self.find(self.steering.pinned)
        return self.served.kept[-1] if pinned is None else pinned

    @property
    def era(self) -> int:
        """Orders what serves, before the minor number does: see `ModelPointer`."""
        return self.served.era + self.steering.turns

    def turned(self, steering: Steering, serving: int | None = None) -> LearnerState:
        """Return the state in which something else serves by the word of an operator."""
        turns = self.steering.turns + 1 + max(one.era for one in self.definitions)
        return replace(
            self,
            serving=self.serving if serving is None else serving,
            steering=replace(steering, turns=turns),
        )

    def find(self, version: str | None) -> NamedArtifact | None:
        """Return a version whose artifact is kept; None of any other."""
        return next((one for one in self.kept if one.version == version), None)

    @property
    def kept(self) -> tuple[NamedArtifact, ...]:
        """All artifacts that count."""
        return tuple(artifact for one in self.definitions for artifact in one.kept)

    def of(self, definition: str, router: str) -> DefinitionVersions | None:
        """Return the versions of a definition that has learned from a router's examples."""
        same = (one for one in reversed(self.definitions) if one.definition == definition)
        return next((one for one in same if one.router in (router, None)), None)

    def training(self, versions: DefinitionVersions, keep: int) -> LearnerState:
        """Return the state in which these versions are trained, in place of those of the same major.

        They serve at once where none do that have learned from the same examples. Of a definition that
        neither is trained nor serves the newest artifact is kept, and what is held, of at most `keep`; of the
        definition that is trained also what was trained before a reset.
        """
        served = next((one for one in self.definitions if one.major == self.serving), None)
        is_succeeded = served is not None and served.router in (versions.router, None)
        serving = self.serving if is_succeeded else versions.major
        held = self.steering.held
        former = tuple(
            one
            if one.major == serving or one.is_like(versions)
            else replace(one, kept=(*_held(one.kept[:-1], held), one.kept[-1]))
            for one in self.definitions
            if one.major != versions.major
        )
        idle = [one.major for one in former if one.major != serving and not _held(one.kept, held)][:-keep]
        definitions = (*(one for one in former if one.major not in idle), versions)
        return LearnerState(definitions, serving, max(self.majors, versions.major), self.steering)

    def encode(self) -> bytes:
        """Encode the entry of a learner."""
        definitions = [
            vars(one) | {"kept": [[*vars(named).values()] for named in one.kept]} for one in self.definitions
        ]
        state: dict[str, Any] = {"definitions": definitions, "serving": self.serving, "majors": self.majors}
        state["steering"] = self.steering.to_json()
        return json.dumps({**NEWEST.stamp(), **state}).encode()

    @classmethod
    def decode(cls, raw: bytes, learner: str) -> LearnerState:
        """Decode what `encode` encoded.

        Raises
        ------
        StateError
            When it is damaged or has a version that is not read.
        """
        what = f"the versions of learner '{learner}' in the trainer's changelog"
        with NEWEST.reading(what):
            found = json.loads(raw)
            if NEWEST.check(found, what) == 1:
                return state_of_artifacts(
                    offset_of(found["offset"]), bool(found["recorded"]), _kept(found["kept"])
                )
            definitions = tuple(_definition(one) for one in found["definitions"])
            steering = Steering.of_json(found["steering"]) if "steering" in found else Steering()
            state = cls(definitions, offset_of(found["serving"]), offset_of(found["majors"]), steering)
            majors = [one.major for one in definitions]
            if len({*majors}) < len(majors) or state.serving not in majors or max(majors) > state.majors:
                raise ValueError(f"its majors are {majors}, of {state.majors}, and {state.serving} serves")
            return state


def _held(kept: Sequence[NamedArtifact], held: Collection[str]) -> tuple[NamedArtifact, ...]:
    return tuple(one for one in kept if one.version in held)


def state_of_artifacts(offset: int, recorded: bool, kept: tuple[NamedArtifact, ...]) -> LearnerState:
    """Return the state of artifacts whose definitions are not told; the newest, with this offset, is last."""
    by_major = [(major, tuple(named)) for major, named in groupby(kept, key=lambda one: one.major)]
    newest = by_major[-1][0]
    definitions = tuple(
        DefinitionVersions(
            definition=None,
            router=None,
            era=major,
            minor=named[-1].minor,
            offset=offset,
            recorded=recorded or major != newest,
            kept=named,
        )
        for major, named in by_major
    )
    return LearnerState(definitions, newest, newest)


def _definition(raw: Mapping[str, Any]) -> DefinitionVersions:
    definition, router = raw["definition"], raw["router"]
    kept = _kept(raw["kept"])
    if not all(word is None or isinstance(word, str) for word in (definition, router)):
        raise ValueError(f"{definition!r} of {router!r} is no definition")
    if len({one.major for one in kept}) > 1:
        raise ValueError("versions of one definition have several majors")
    era, minor, offset = (offset_of(raw[name]) for name in ("era", "minor", "offset"))
    return DefinitionVersions(definition, router, era, minor, offset, bool(raw["recorded"]), kept)


def _kept(raw: Any) -> tuple[NamedArtifact, ...]:
    kept = tuple(NamedArtifact(str(one[0]), str(one[1]), *map(_number, one[2:])) for one in raw)
    if not kept or not all(names_artifact(one.version, one.artifact) for one in kept):
        raise ValueError("it names no artifact")
    return kept


def _number(raw: Any) -> int | None:
    if raw is not None and type(raw) is not int:
        raise ValueError(f"{raw!r} is no whole number")
    return raw


def offset_of(raw: Any) -> int:
    """Return a number that is a whole one, and not negative; raises `ValueError` for any other."""
    if type(raw) is not int or not 0 <= raw < 1 << 63:
        raise ValueError(f"{raw!r} is no offset")
    return raw
