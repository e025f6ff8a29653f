"""What a peer's program is told, and how it tells when it began and ended. Standard library alone."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One run of one peer. Times in ms."""

    name: str  # unlike any other run's: prefix of all it makes in Kafka and Redis
    folder: str  # for its files
    bootstrap: str
    redis: str
    topic: str
    records: int
    partitions: int
    format: str
    schema: str
    window_ms: int
    hop_ms: int
    allowance_ms: int
    cores: int

    def save(self) -> Path:
        file = Path(self.folder) / "job.json"
        file.write_text(json.dumps(asdict(self)))
        return file

    @classmethod
    def load(cls, file: str) -> Job:
        raw = json.loads(Path(file).read_text())
        return cls(**{field.name: raw[field.name] for field in fields(cls)})


class Clock:
    """Marks of a run in the job's folder, epoch seconds: first record in hand, last output readable."""

    def __init__(self, job: Job) -> None:
        self._folder = Path(job.folder)
        self._began = False

    def first(self, at: float | None = None) -> None:
        """The first call counts."""
        if not self._began:
            self._began = True
            self._write("first", at or time.time())

    def last(self, at: float | None = None) -> None:
        """The last call counts."""
        self._write("last", at or time.time())

    def written(self, at: float) -> None:
        """The last row was in the topic that the peer writes to, from which it is taken on."""
        self._write("written", at)

    def _write(self, kind: str, at: float) -> None:
        (self._folder / f"{kind}-{os.getpid()}").write_text(f"{at:.6f}")


def marks(folder: Path) -> tuple[float, float]:
    """The first and the last moment that the programs of a run marked.

    Raises
    ------
    ValueError
        When a mark is missing.
    """
    first, last = (
        [float(mark.read_text() or "nan") for mark in folder.glob(f"{kind}-*")] for kind in ("first", "last")
    )
    if not first or not last:
        raise ValueError(f"{folder}: the peer did not mark its first record and its last output")
    return min(first), max(last)


def written(folder: Path) -> float | None:
    """When the last row was in the topic of a peer that writes to one."""
    return max((float(mark.read_text()) for mark in folder.glob("written-*")), default=None)


def main(run: Callable[[Job], None]) -> None:
    run(Job.load(sys.argv[1]))
