"""A process that has no plan to run by waits for one: alive, and not ready.

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
        """Return the plan in force, as soon as there is one.

        Raises
        ------
        PlanError
            When it cannot be used, or there is none and the process does not follow the plan.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        if self._settings.follow_plan and self._plans.hash_in_force() is None:
            text = f"project '{self._settings.project_name}' has no plan yet: waiting for `headrace apply`"
            self._wait(text, lambda in_force: in_force is not None)
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
            self._wait(text, lambda in_force: in_force not in (None, plan.hash))
            raise SystemExit(EXIT_REPLACED) from error

    def _wait(self, text: str, is_there: Callable[[str | None], bool]) -> None:
        _log.warning("%s", printable_lines(text))
        settings, hosts = self._settings, HttpHosts(self._settings.host_names)
        ports = {"serve": settings.port, "features": settings.features_port}
        port = ports.get(self._kind, settings.metrics_port)
        with simple_health(settings.host, port, lambda: text, hosts):
            while not self._is_there(is_there):
                time.sleep(LOOK_S)

    def _is_there(self, is_there: Callable[[str | None], bool]) -> bool:
        with contextlib.suppress(ServiceUnavailable):
            return is_there(self._plans.hash_in_force())
        return False
