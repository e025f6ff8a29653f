"""A service over HTTP: its application behind a door, and uvicorn with bounded connections."""

from __future__ import annotations

from collections.abc import Sequence

import uvicorn
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan

from headrace.learners.serving.admission import Admission
from headrace.learners.serving.config import HttpConfig, HttpLimits
from headrace.learners.serving.drain import Drain, DrainingServer
from headrace.learners.serving.guard import not_allowed, not_found
from headrace.learners.serving.protocol import bounded_protocol
from headrace.streams.runtime.plan_watch import PlanWatch


def admitted(
    routes: Sequence[Route],
    lifespan: Lifespan[Starlette],
    limits: HttpLimits,
    requests: Counter,
    drain: Drain,
) -> Admission:
    """Return the application of a service, behind its door.

    Parameters
    ----------
    lifespan
        Of the application: what it starts and stops.
    requests
        Counts answers, by path and status.
    drain
        Of the server.
    """
    application = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={404: not_found, 405: not_allowed}
    )
    return Admission(application, [route.path for route in routes], limits, requests, drain)


def http_server(app: ASGIApp, config: HttpConfig, requests: Counter, drain: Drain) -> uvicorn.Server:
    """Return a server that is not started yet.

    Parameters
    ----------
    requests
        Counts answers that are given without the application, by path and status.
    drain
        Shared with the application.
    """
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        http=bounded_protocol(config.limits, lambda status: requests.labels("none", str(status)).inc()),
        ws="none",
        log_config=None,
        proxy_headers=False,
        log_level=config.log_level.lower(),
        access_log=False,
    )
    return DrainingServer(settings, drain)


def run_server(server: uvicorn.Server, plan_watch: PlanWatch | None) -> None:
    """Block until a signal or the plan watch ends the process; it drains, and answers requests in hand."""

    def end() -> bool:
        server.should_exit = server.started
        return server.started

    if plan_watch is not None:
        plan_watch.start(end)
    server.run()
