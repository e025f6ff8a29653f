"""Plans in Redis: each for ever under its hash, and a pointer to the plan in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.streams.connections.redis import redis_client

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan


def plan_key(project: str, hash: str | None = None) -> str:
    """The Redis key of a plan by its hash, or of the pointer without one.

    >>> plan_key("flights"), plan_key("flights", "5e884898")
    ('headrace:flights:plan', 'headrace:flights:plan:5e884898')
    """
    return f"headrace:{project}:plan" + (f":{hash}" if hash else "")


class PlanStore:
    """Saves and loads the plans of one project.

    Parameters
    ----------
    store
        A Redis URL, or a client.
    project
        The project.
    """

    def __init__(self, store: str | redis.Redis, project: str) -> None:
        self._redis = redis_client(store) if isinstance(store, str) else store
        self._project = project

    def save(self, plan: Plan) -> None:
        """Store a plan and put it in force.

        Raises
        ------
        PlanError
            When the plan is of another project.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        if plan.project != self._project:
            raise PlanError(
                f"the plan is of project '{plan.project}', the store of '{self._project}'; use its own"
            )
        try:
            self._redis.set(plan_key(self._project, plan.hash), plan.to_json(), nx=True)
            self._redis.set(plan_key(self._project), plan.hash)
        except redis.RedisError as error:
            raise ServiceUnavailable(f"the plan cannot be stored: {error}") from error

    def in_force(self) -> Plan | None:
        """Load the plan that was applied last; None when none was.

        Raises
        ------
        PlanError
            When the plan cannot be read by this version.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        try:
            applied = self._text(plan_key(self._project)) is not None
        except redis.RedisError as error:
            raise ServiceUnavailable(f"the plan cannot be read: {error}") from error
        return self.load() if applied else None

    def load(self, hash: str | None = None) -> Plan:
        """Load a plan by its hash, or the plan in force.

        Raises
        ------
        PlanError
            When there is no such plan, or it cannot be read by this version.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        from headrace.schemas.plan import Plan  # most of what the SDK takes to import

        try:
            plan_hash = hash or self._text(plan_key(self._project))
            text = self._text(plan_key(self._project, plan_hash)) if plan_hash else None
        except redis.RedisError as error:
            raise ServiceUnavailable(f"the plan cannot be read: {error}") from error
        if text is None:
            which = f"plan {hash}" if hash else "plan"
            raise PlanError(f"project '{self._project}' has no {which} in Redis; run `headrace apply`")
        return Plan.from_json(text)

    def _text(self, key: str) -> str | None:
        value: Any = self._redis.get(key)
        return value.decode() if isinstance(value, bytes) else value
