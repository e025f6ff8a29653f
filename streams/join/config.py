"""How a join runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.streams.runtime.config import FaustConfig


def join_group(project: str) -> str:
    """Return the name of the consumer group of a project's joins."""
    return f"headrace.{project}.join"


@dataclass(frozen=True, kw_only=True)
class JoinConfig(FaustConfig):
    """How a join runs.

    Attributes
    ----------
    gather_ms
        A transaction begins so long after the first record that is in none, or when the one before it has
        ended.
    instance_id
        Makes the process a static member of its group: one that is started again under the same id has its
        partitions back at once. Empty for none. No two processes may have the same.
    idle_ms
        While an input has no record for so long, its event time goes on by the clock of the machine.
    parked
        The most outcomes of a partition that wait for a prediction; more are turned away, and counted.
    per_key
        The most predictions of one key that are held, and the most outcomes; more are turned away, and
        counted.
    orphan_letters
        Whether outcomes without a prediction are dead letters where they come out of an event topic. Those
        that were sent to the router always are.
    archive
        Directory for the Parquet archive of examples, one folder per router; None keeps none. It holds all
        examples, whichever process joined them: one process with an archive is enough.
    """

    gather_ms: int = 2
    instance_id: str = ""
    idle_ms: int = 10_000
    parked: int = 20_000
    per_key: int = 1_000
    orphan_letters: bool = False
    archive: Path | None = None
