"""The HTTP server of a service: uvicorn with bounded connections."""

from __future__ import annotations

import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp

from headrace.learners.serving.config import HttpConfig
from headrace.learners.serving.protocol import bounded_protocol


def http_server(app: ASGIApp, config: HttpConfig, requests: Counter) -> uvicorn.Server:
    """Return a server that is not started yet.

    Parameters
    ----------
    requests
        Counts answers that are given without the application, by path and status.
    """
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        http=bounded_protocol(config.limits, lambda status: requests.labels("none", str(status)).inc()),
        ws="none",
        log_config=None,
        log_level=config.log_level.lower(),
        access_log=False,
    )
    return uvicorn.Server(settings)
