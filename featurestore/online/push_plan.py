"""The plan in force, as far as pushed rows go by it: rows of an older one would be of other types."""

from __future__ import annotations

from typing import Any

from headrace.featurestore.plans.store import PlanStore, plan_key
from headrace.featurestore.redis_codec.row_encoder import bulk
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.streams.connections.redis import redis_client


class PushPlan:
    """Compares the plan that rows are pushed by with the one in force.

    Parameters
    ----------
    plan
        The plan that rows are pushed by.
    redis_url
        The online store.

    Attributes
    ----------
    question
        Keys and commands that ask Redis for the hash of the plan in force.
    """

    def __init__(self, plan: Plan, redis_url: str) -> None:
        self._plan, self._redis_url = plan, redis_url
        self._alike: set[tuple[str, str]] = set()  # hash and push source
        key = plan_key(plan.project).encode()
        self.question = ([key], [b"*2\r\n" + bulk(b"GET") + bulk(key)])

    def is_known(self, source: PushSourceSpec, in_force: bytes | None) -> bool:
        """Whether the plan in force is this one, none, or one that has been compared."""
        text = (in_force or b"").decode(errors="replace")
        return text in ("", self._plan.hash) or (text, source.name) in self._alike

    def check(self, source: PushSourceSpec, in_force: bytes | None) -> None:
        """Load the plan in force where it is not known, and compare the views of a push source.

        Raises
        ------
        PlanError
            When they are others there.
        ServiceUnavailable
            When Redis does not answer.
        """
        if self.is_known(source, in_force):
            return
        assert in_force is not None
        hash = in_force.decode(errors="replace")
        with redis_client(self._redis_url) as client:
            other = PlanStore(client, self._plan.project).load(hash)
        if _written_by(other, source.name) != _written_by(self._plan, source.name):
            raise PlanError(
                f"push source '{source.name}': `headrace apply` has put another plan in force since this "
                "client was made, in which its views differ; make a new client, and push rows as that one "
                "has them"
            )
        self._alike.add((hash, source.name))


def _written_by(plan: Plan, source: str) -> Any:
    """What the bytes of pushed rows follow from."""
    specs = [spec for spec in plan.push_sources if spec.name == source]
    views = [view for spec in specs for view in plan.views_on(spec)]
    return specs, [(view.name, view.join_keys, view.features) for view in views], plan.online
