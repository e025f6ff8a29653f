"""A process that has no plan to run by, or one that it cannot use, waits for another: alive, and not ready.

Without the setting `follow_plan` it ends in place of that.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from headrace.deploy.settings import Settings
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import DefinitionError, PlanError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.schemas.printable import printable_lines
from headrace.streams.runtime.health_server import simple_health
from headrace.streams.runtime.http_hosts import HttpHosts
from headrace.streams.runtime.internal_topics import Process
from headrace.streams.runtime.plan_watch import EXIT_REPLACED, LOOK_S

_log = logging.getLogger(__name__)


class PlanWait:
    """Waits for the first plan, and for another one where that in force does not fit the repository.

    Parameters
    ----------
    settings
        Of the process.
    kind
        Says on which port it tells of its health.
    plans
        Of the project.
    """

    def __init__(self, settings: Settings, kind: Process, plans: PlanStore) -> None:
        self._settings, self._kind, self._plans = settings, kind, plans

    def plan(self) -> Plan:
        """Return the plan in force, as soon as there is one that can be used.

        Raises
        ------
        PlanError
            When there is none, and the process does not follow the plan.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        try:
            return self._plans.load()
        except PlanError as error:
            if not self._settings.follow_plan:
                raise
            self._wait(f"{error}. Waiting for a plan", self._has_usable_plan)
        return self._plans.load()

    @contextlib.contextmanager
    def until_it_fits(self, plan: Plan) -> Iterator[None]:
        """When the block refuses a plan, wait for another one, and end to be started anew.

        A roll-out brings a new repository before the plan that is made of it, or behind it.

        Raises
        ------
        SystemExit
            With `EXIT_REPLACED`.
        """
        try:
            yield
        except (DefinitionError, PlanError) as error:
            if not self._settings.follow_plan:
                raise
            text = f"{error}. Waiting for another plan than {plan.hash[:12]}"
            self._wait(text, lambda: self._plans.hash_in_force() not in (None, plan.hash))
            raise SystemExit(EXIT_REPLACED) from error

    def _wait(self, text: str, is_there: Callable[[], bool]) -> None:
        _log.warning("%s", printable_lines(text))
        settings, hosts = self._settings, HttpHosts(self._settings.host_names)
        ports = {"serve": settings.port, "features": settings.features_port}
        port = ports.get(self._kind, settings.metrics_port)
        with simple_health(settings.host, port, lambda: text, hosts):
            while not _now(is_there):
                time.sleep(LOOK_S)

    def _has_usable_plan(self) -> bool:
        self._plans.load()
        return True


def _now(is_there: Callable[[], bool]) -> bool:
    with contextlib.suppress(PlanError, ServiceUnavailable):
        return is_there()
    return False
