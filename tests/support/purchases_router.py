"""The plan of purchases with a router whose outcomes are purchases."""

from __future__ import annotations

from headrace.schemas.domains import DomainSpec
from headrace.schemas.feature_specs import FeatureServiceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from tests.support.join_builders import a_router
from tests.support.purchases import purchases_plan


def plan_with_router(project: str) -> Plan:
    base = purchases_plan(project)
    outcome = {"source": "purchases", "key_field": "user", "label_field": "amount"}
    amount = DomainSpec(kind="number", low=-1e6, high=1e6)
    more = {"outcome": outcome, "domain": amount}
    router = a_router(10, name="r", arms=("a", "b"), champion="a", entities=("user",), **more)
    learners = tuple(
        LearnerSpec(name=n, service="s", target="t", domain=amount, definition=n) for n in ("a", "b")
    )
    services = (FeatureServiceSpec(name="s", features=()),)
    return base.model_copy(update={"routers": (router,), "learners": learners, "services": services})
