"""How services run."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field


def _host_and_pid() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What a service takes of its clients.

    Attributes
    ----------
    max_body_bytes
        Most bytes of a request's body; more is answered with 413 before it is read.
    request_timeout_s
        Longest time from the first byte of a request to its last, and of a client that does not read its
        answer.
    max_connections
        Most connections at once. A new one above them takes the place of the one that has waited longest for
        a request.
    allowed_hosts
        Public names under which the service may be asked, or ``*`` for any; see
        `headrace.streams.runtime.http_hosts.HttpHosts`.
    """

    max_body_bytes: int = 2 * 1024**2
    request_timeout_s: float = 10.0
    max_connections: int = 1000
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """How a service listens.

    Attributes
    ----------
    host, port
        Where it listens.
    log_level
        Least level logged: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    limits
        What it takes of its clients.
    drain_s
        How long it answers, without being ready, after it was told to end.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    log_level: str = "INFO"
    limits: HttpLimits = HttpLimits()
    drain_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ServeConfig(HttpConfig):
    """How a service of routers runs.

    Attributes
    ----------
    log_timeout_s
        How long an answer waits for the acknowledgement of the prediction log.
    replica
        Name of the process in the progress of the stage ``serve``, unique among the replicas.
    operate_tokens
        One of which requests of operators bear; without any nobody operates over HTTP.
    """

    log_timeout_s: float = 5.0
    replica: str = field(default_factory=_host_and_pid)
    operate_tokens: tuple[str, ...] = field(default=(), repr=False)
