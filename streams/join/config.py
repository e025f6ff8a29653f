"""How a join runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.streams.connections.schema_registry import RegistryAccess


@dataclass(frozen=True)
class JoinConfig:
    """How a join runs.

    Attributes
    ----------
    gather_ms
        What came is joined and given out so long after the first of it.
    checkpoint_ms, checkpoint_records
        A checkpoint comes with the next input after this time, or this many records.
    pause_ms
        A checkpoint comes at once when no record came for so long.
    fetch_wait_ms
        See `headrace.streams.runtime.app.range_app`.
    session_timeout_s
        How long the group waits for a join that died before its partitions move.
    instance_id
        Makes the process a static member of its group: one that is started again under the same id has its
        partitions back at once. Empty for none.
    archive
        Directory for the Parquet archive of examples, one folder per router; None keeps none.
    schema_registry
        Where a registry is that has the writer schemas which the plan does not have.
    metrics_host, metrics_port
        Where it tells of its health; port 0: nowhere.
    stuck_s
        A join that stands still for so long, with records before it, ends.
    """

    gather_ms: int = 2
    checkpoint_ms: int = 500
    checkpoint_records: int = 2000
    pause_ms: int = 250
    fetch_wait_ms: int = 8
    session_timeout_s: float = 10.0
    instance_id: str = ""
    archive: Path | None = None
    log_level: str = "INFO"
    schema_registry: RegistryAccess | str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    stuck_s: float = 300.0
