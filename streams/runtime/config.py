"""Configuration that several processes have in common, and the defaults of its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.streams.connections.schema_registry import RegistryAccess


@dataclass(frozen=True, kw_only=True)
class ConsumerConfig:
    """How a process that reads topics runs.

    Attributes
    ----------
    fetch_wait_ms
        Longest time a broker holds back a fetch for which it has nothing. Apache Kafka answers as soon as it
        has something, the broker built into librdkafka when the time is up.
    metrics_host, metrics_port
        Where the process answers ``/metrics``, ``/readyz`` and ``/healthz``; port 0: nowhere.
    allowed_hosts
        Public names under which it answers; see `headrace.streams.runtime.http_hosts.HttpHosts`.
    stuck_s
        A process that makes no progress for so many seconds, with records before it, ends itself.
    session_timeout_ms
        How long the group waits for a member that died before another takes over.
    """

    fetch_wait_ms: int = 8
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    allowed_hosts: tuple[str, ...] = ()
    stuck_s: float = 300.0
    session_timeout_ms: int = 10_000


@dataclass(frozen=True, kw_only=True)
class FaustConfig(ConsumerConfig):
    """How a process on Faust runs: a member of a consumer group, with state and checkpoints.

    Attributes
    ----------
    log_level
        Least level logged: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    schema_registry
        The registry of writer schemas that the plan does not have, or its URL alone; None for none.
    """

    log_level: str = "INFO"
    schema_registry: RegistryAccess | str | None = None
