"""How a join runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.streams.runtime.config import FaustConfig


@dataclass(frozen=True, kw_only=True)
class JoinConfig(FaustConfig):
    """How a join runs. A checkpoint comes with the next input after `checkpoint_ms`.

    Attributes
    ----------
    gather_ms
        Records are joined and given out so long after the first of them.
    checkpoint_records
        A checkpoint also comes after this many records.
    pause_ms
        A checkpoint comes at once when no record came for so long.
    instance_id
        Makes the process a static member of its group: one that is started again under the same id has its
        partitions back at once. Empty for none.
    archive
        Directory for the Parquet archive of examples, one folder per router; None keeps none.
    """

    gather_ms: int = 2
    checkpoint_records: int = 2000
    pause_ms: int = 250
    instance_id: str = ""
    archive: Path | None = None
