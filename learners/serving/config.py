"""How a service of routers runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field


def _host_and_pid() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """How a service of routers runs.

    Attributes
    ----------
    host, port
        Where it listens.
    log_level
        Least level logged: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    log_timeout_s
        How long an answer waits for the acknowledgement of the prediction log.
    replica
        Name of the process in the progress of the stage ``serve``, unique among the replicas.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    log_level: str = "INFO"
    log_timeout_s: float = 5.0
    replica: str = field(default_factory=_host_and_pid)
