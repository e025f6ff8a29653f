"""Artifacts that the log names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedArtifact:
    """An artifact that the log names: a file that nothing names is nobody's.

    Attributes
    ----------
    version
        ``major.minor``.
    artifact
        See `ModelStore.write`; empty for a file from before artifacts were named by the log.
    time_ms
        Event time that the version has reached, see `ModelHeader.time_ms`; None before the first example, and
        of an entry from before times were told.
    offset
        Prefix of the examples topic that it has learned; None of an entry from before that was told.
    """

    version: str
    artifact: str
    time_ms: int | None = None
    offset: int | None = None

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def minor(self) -> int:
        """The second number of the version."""
        return int(self.version.partition(".")[2])
