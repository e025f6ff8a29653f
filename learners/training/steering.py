"""What operators have decided of a learner, as the trainer's changelog has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from headrace.learners.models.store import names_artifact

_KNOWN: Final = 100  # ids of operations that are remembered


@dataclass(frozen=True)
class Reset:
    """A training that is to begin anew.

    Attributes
    ----------
    version
        Whose model it begins from; None for the beginning.
    skip_to
        Offset of the examples topic before which nothing is learned again; None: all after the version is.
    """

    version: str | None
    skip_to: int | None


@dataclass(frozen=True)
class Steering:
    """What operators have decided.

    Attributes
    ----------
    pinned
        The version that serves; None: the newest that may.
    held
        Versions that were ever pinned or promoted: their artifacts are kept.
    turns
        Added to the era of what serves, so that what an operator chooses comes behind what served before.
    reset
        What is to begin anew and has no version yet.
    known
        Ids of the last operations that were folded.
    """

    pinned: str | None = None
    held: tuple[str, ...] = ()
    turns: int = 0
    reset: Reset | None = None
    known: tuple[str, ...] = ()

    def holding(self, version: str) -> Steering:
        """Return the same with one more version that is held."""
        return self if version in self.held else replace(self, held=(*self.held, version))

    def knowing(self, operation: str) -> Steering:
        """Return the same with one more operation that is known."""
        return replace(self, known=(*self.known, operation)[-_KNOWN:])

    def to_json(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        reset = self.reset and [self.reset.version, self.reset.skip_to]
        return vars(self) | {"reset": reset}

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Steering:
        """Return what `to_json` returned; raises a `ValueError` for anything else."""
        reset = raw["reset"] and Reset(_version(raw["reset"][0]), _whole(raw["reset"][1]))
        held = tuple(str(_version(one)) for one in raw["held"])
        turns = _whole(raw["turns"]) or 0
        return cls(_version(raw["pinned"]), held, turns, reset, tuple(map(str, raw["known"])))


def _version(raw: Any) -> str | None:
    if raw is not None and not (isinstance(raw, str) and names_artifact(raw, "")):
        raise ValueError(f"{raw!r} is no version")
    return raw


def _whole(raw: Any) -> int | None:
    if raw is not None and not (type(raw) is int and 0 <= raw < 1 << 63):
        raise ValueError(f"{raw!r} is no whole number")
    return raw
