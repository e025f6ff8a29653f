"""`headrace materialize --every`: batch views are written again and again, and at once for another plan."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from headrace.deploy.settings import Settings
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import HeadraceError, PlanError, ServiceUnavailable
from headrace.schemas.printable import printable_lines
from headrace.streams.runtime.health_server import simple_health
from headrace.streams.runtime.http_hosts import HttpHosts
from headrace.streams.runtime.plan_watch import LOOK_S

_log = logging.getLogger(__name__)
RETRY_S: Final = 60.0  # after a run that failed


class KeepMaterialized:
    """Writes the latest rows of batch views now, every so often, and whenever another plan is in force.

    A run that fails is an error in the log, and is tried again after a minute. Ready once the tables of the
    plan in force are written.

    Parameters
    ----------
    settings
        Of the project.
    every
        From the end of a run to the next.
    incremental, overlap
        As of `headrace.featurestore.batch.materialize.materialize`.

    Attributes
    ----------
    waits_for
        What keeps the tables of the plan in force from being written; None when they are.
    """

    def __init__(self, settings: Settings, every: timedelta, incremental: bool, overlap: timedelta) -> None:
        self._settings, self._every_s = settings, every.total_seconds()
        self._incremental, self._overlap = incremental, overlap
        self._plans = PlanStore(settings.redis, settings.project_name, settings.plan_signing_key())
        self._tried: str | None = None  # hash of the plan of the last run
        self.waits_for: str | None = "the tables are read"

    def run(self, until: threading.Event) -> None:
        """Run until `until` is set, or the process is ended."""
        settings, hosts = self._settings, HttpHosts(self._settings.host_names)
        with simple_health(settings.host, settings.metrics_port, lambda: self.waits_for, hosts):
            while not until.is_set():
                self._wait(self._every_s if self.write() else min(self._every_s, RETRY_S), until)

    def write(self) -> bool:
        """Write the rows once; return whether that succeeded."""
        try:
            before, self._tried = self._tried, self._plans.hash_in_force()
            if before != self._tried:
                self.waits_for = "the tables are read"
            if self._tried is None:
                return self._failed("there is no plan yet: waiting for `headrace apply`", logging.WARNING)
            plan = self._plans.load(self._tried)
            now, settings = datetime.now(UTC), self._settings
            written = materialize(
                settings.project_dir, plan, settings.redis, now, self._incremental, self._overlap
            )
        except HeadraceError as error:
            return self._failed(str(error), logging.ERROR)
        for view, rows in written.items():
            _log.info("%s: %d rows", view, rows)
        self.waits_for = None
        return True

    def _failed(self, text: str, level: int) -> bool:
        _log.log(level, "%s", printable_lines(text))
        self.waits_for = text
        return False

    def _wait(self, seconds: float, until: threading.Event) -> None:
        """Wait so long, or until another plan is in force."""
        next_s = time.monotonic() + seconds
        while time.monotonic() < next_s and not self._has_another_plan():
            if until.wait(LOOK_S):
                return

    def _has_another_plan(self) -> bool:
        try:
            return self._plans.hash_in_force() not in (None, self._tried)
        except (PlanError, ServiceUnavailable):
            return False
