"""Who reads a feature of a plan: feature services, the learners behind them, and their routers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan


@dataclass(frozen=True)
class Consumers:
    """Names, each in order; a router reads what any of its arms reads."""

    services: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services)

    def __str__(self) -> str:
        named = (("service", self.services), ("learner", self.learners), ("router", self.routers))
        return ", ".join(f"{kind} '{name}'" for kind, names in named for name in names)


def consumers_of(plan: Plan, refs: Collection[FeatureRef]) -> Consumers:
    """Everyone who reads at least one of these features, as it is or through an on-demand view."""
    services = [s.name for s in plan.services if not set(refs).isdisjoint(with_inputs(plan, s.features))]
    return consumers_of_services(plan, services)


def with_inputs(plan: Plan, refs: Collection[FeatureRef]) -> tuple[FeatureRef, ...]:
    """These features, and the stored ones that are read to compute those on demand."""
    return tuple(dict.fromkeys((*refs, *plan.stored(refs))))


def consumers_of_services(plan: Plan, services: Collection[str]) -> Consumers:
    """These services, with everyone who reads one of them."""
    learners = [learner.name for learner in plan.learners if learner.service in services]
    routers = [router.name for router in plan.routers if not set(learners).isdisjoint(router.arms)]
    return Consumers(tuple(sorted(services)), tuple(sorted(learners)), tuple(sorted(routers)))
