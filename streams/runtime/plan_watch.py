"""A thread that looks whether the plan of its process is in force, and ends the process when it is not."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.streams.connections.redis_retry import REDIS_ERRORS
from headrace.streams.progress import ProcessRegistry, RunningProcess
from headrace.streams.runtime.health import PlanHealth

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan
    from headrace.streams.runtime.internal_topics import Process

_log = logging.getLogger(__name__)

EXIT_REPLACED = 75  # EX_TEMPFAIL: start it again
LOOK_S = 2.0
_LOOKS = 2  # in a row that must find the plan replaced: who takes an `apply` back at once ends nothing
_START_S = 30.0  # in which a process that has ended is there again


class Plans(Protocol):
    """The plans of a project; see `headrace.featurestore.plans.store.PlanStore`."""

    def hash_in_force(self) -> str | None:
        """Return the hash of the plan in force; None when there is none."""

    def load(self, hash: str | None = None) -> Plan:
        """Load a plan. Raises `PlanError` when this version cannot."""


class PlanWatch:
    """Looks whether the plan of a process is in force, and tells Redis that the process is there.

    While Redis is away, or has no plan in force, the process goes on: only another plan that it can load
    replaces its own.

    Parameters
    ----------
    kind
        Kind of the process.
    plan
        Hash of its plan.
    plans
        Where the plan in force is looked up.
    registry
        Where the process says that it is there.
    ends
        Whether the process ends once its plan is replaced.
    takes_turns
        Whether processes of this kind end one after the other, so that some are always there.
    drain_s
        How long one takes to end.

    Attributes
    ----------
    replaced_by
        Hash of the plan in force, when that is another one.
    has_ended
        Whether the process was told to end.
    """

    def __init__(
        self,
        kind: Process,
        plan: str,
        plans: Plans,
        registry: ProcessRegistry,
        ends: bool = False,
        takes_turns: bool = False,
        drain_s: float = 0.0,
    ) -> None:
        self._kind, self._plan, self._plans, self._registry = kind, plan, plans, registry
        self._ends, self._takes_turns = ends, takes_turns
        self._turn_ms = round(1000 * (drain_s + _START_S))
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._end: Callable[[], bool] = terminate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plan-watch", daemon=True)
        self._found_replaced, self._replaced_ms = 0, 0
        self._told: set[str] = set()
        self.replaced_by: str | None = None
        self.has_ended = False

    def start(self, end: Callable[[], bool] | None = None) -> None:
        """Begin to look.

        Parameters
        ----------
        end
            Ends the process in order, and returns whether it could; asked again at the next look. None for
            `terminate`.
        """
        self._end = end or self._end
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and remove the process from Redis."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()
            try:
                self._registry.forget(self._kind, self._name)
            except REDIS_ERRORS as error:
                _log.warning("process %s is left to expire in Redis: %s", self._name, error)

    def look(self) -> None:
        """Look once, and end the process if it is time."""
        self._judge()
        replaced_ms = self._replaced_ms if self.replaced_by else None
        self._registry.report(RunningProcess(self._kind, self._name, self._plan, replaced_ms))
        if self._ends and not self.has_ended and self._found_replaced >= _LOOKS and self._may_end():
            _log.warning("plan %s is not in force any more: ending, to be started anew", self._plan[:12])
            self.has_ended = self._end()

    def _run(self) -> None:
        begun = False
        while not self._stopping.is_set():
            try:
                if not begun:
                    self._registry.forget_old()
                    begun = True
                self.look()
            except (*REDIS_ERRORS, ServiceUnavailable) as error:
                _log.debug("the plan in force is not known: %s", error)
            except Exception:  # this must not end before what it watches
                _log.exception("the plan in force could not be looked up")
            self._stopping.wait(LOOK_S)

    def _judge(self) -> None:
        before, self.replaced_by, own = self.replaced_by, None, self._plan[:12]
        try:
            in_force = self._plans.hash_in_force()
        except PlanError as error:
            self._found_replaced = 0
            return self._tell(logging.ERROR, f"going on with plan {own}: {error}")
        self.replaced_by = in_force if in_force != self._plan else None
        self._found_replaced = self._found_replaced + 1 if self.replaced_by else 0
        if self.replaced_by:
            self._replaced_ms = self._replaced_ms if before else time.time_ns() // 1_000_000
            by = self.replaced_by[:12]
            self._tell(
                logging.WARNING, f"plan {own} is not in force any more, {by} is: start this process anew"
            )
        elif in_force is None:
            no_plan = "Redis has no plan in force: run `headrace apply`"
            self._tell(logging.WARNING, f"{no_plan}; going on with plan {own}")
        elif self._told:
            _log.info("plan %s is in force again", own)
            self._told.clear()

    def _tell(self, level: int, text: str) -> None:
        """Log a text once, until the plan of this process is in force again."""
        if text not in self._told:
            self._told.add(text)
            _log.log(level, "%s", text)

    def _may_end(self) -> bool:
        try:
            self._plans.load(self.replaced_by)
        except PlanError as error:
            self._tell(logging.ERROR, f"this process goes on with plan {self._plan[:12]}: {error}")
            return False
        return not self._takes_turns or self._registry.take_turn(self._kind, self._turn_ms)


def plan_health(plan: Plan, watch: PlanWatch | None) -> PlanHealth:
    """Return the health of the plan of a process; `watch` is None where nobody looks."""
    return PlanHealth(plan.hash, None if watch is None else watch.replaced_by)


def terminate() -> bool:
    """End this process as SIGTERM does; False while nothing handles that yet."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        return False
    os.kill(os.getpid(), signal.SIGTERM)
    return True
