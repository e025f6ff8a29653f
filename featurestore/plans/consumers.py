"""Who reads a feature of a plan: feature services, the learners behind them, and their routers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan


@dataclass(frozen=True)
class Readers:
    """Names, each in order; a router reads what any of its arms reads."""

    services: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services)

    def __str__(self) -> str:
        named = (("service", self.services), ("learner", self.learners), ("router", self.routers))
        return ", ".join(f"{kind} '{name}'" for kind, names in named for name in names)


def readers_of(plan: Plan, refs: Collection[FeatureRef]) -> Readers:
    """Everyone who reads at least one of these features, as it is or through an on-demand view."""
    services = [s.name for s in plan.services if not set(refs).isdisjoint(read_by(plan, s.features))]
    return readers_of_services(plan, services)


def read_by(plan: Plan, refs: Collection[FeatureRef]) -> tuple[FeatureRef, ...]:
    """These features, and the stored ones that are read to compute those on demand."""
    return tuple(dict.fromkeys((*refs, *plan.stored(refs))))


def readers_of_services(plan: Plan, services: Collection[str]) -> Readers:
    """These services, with everyone who reads one of them."""
    learners = [learner.name for learner in plan.learners if learner.service in services]
    routers = [router.name for router in plan.routers if not set(learners).isdisjoint(router.arms)]
    return Readers(tuple(sorted(services)), tuple(sorted(learners)), tuple(sorted(routers)))
