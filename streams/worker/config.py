"""How a worker runs."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.streams.runtime.config import FaustConfig


@dataclass(frozen=True, kw_only=True)
class WorkerConfig(FaustConfig):
    """How a worker runs.

    Attributes
    ----------
    checkpoint_ms
        Longest time between two checkpoints; bounds the work that a crash repeats.
    idle_ms
        In a partition without a record for so long, windows empty by the wall clock.
    """

    checkpoint_ms: int = 1000
    idle_ms: int = 10_000
