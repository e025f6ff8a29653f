"""How a worker runs."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.streams.connections.schema_registry import RegistryAccess


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker runs.

    `checkpoint_ms` bounds the work that a crash repeats; `session_timeout_s` is how long the group waits for
    a worker that died before its partitions move. In a partition without a record for `idle_ms` windows
    empty by the wall clock. `fetch_wait_ms`: see `headrace.streams.runtime.app`. `schema_registry` says where
    a registry is that has the writer schemas which the plan does not have. On `metrics_port` it tells of its
    health; 0: it does not. A worker that stands still for `stuck_s` with records before it, ends.
    """

    checkpoint_ms: int = 500
    idle_ms: int = 10_000
    fetch_wait_ms: int = 8
    session_timeout_s: float = 10.0
    log_level: str = "INFO"
    schema_registry: RegistryAccess | str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    stuck_s: float = 300.0
