"""Consumers of features in a plan: feature services, the learners that read them, and their routers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan


@dataclass(frozen=True)
class Consumers:
    """Names, each kind sorted. A router consumes the features of all its arms.

    >>> str(Consumers(services=("delays",), learners=("tree", "line")))
    "service 'delays', learner 'tree', learner 'line'"
    >>> bool(Consumers())
    False
    """

    services: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services)

    def __str__(self) -> str:
        named = (("service", self.services), ("learner", self.learners), ("router", self.routers))
        return ", ".join(f"{kind} '{name}'" for kind, names in named for name in names)


def consumers_of(plan: Plan, refs: Collection[FeatureRef]) -> Consumers:
    """Consumers of at least one of these features, directly or through an on-demand view."""
    services = [s.name for s in plan.services if not set(refs).isdisjoint(with_inputs(plan, s.features))]
    return consumers_of_services(plan, services)


def with_inputs(plan: Plan, refs: Collection[FeatureRef]) -> tuple[FeatureRef, ...]:
    """These features and the stored ones that those computed on demand take, as their views define them."""
    return tuple(dict.fromkeys(ref.definition for ref in (*refs, *plan.stored(refs))))


def consumers_of_services(plan: Plan, services: Collection[str]) -> Consumers:
    """These services, and the learners and routers that read them."""
    learners = [learner.name for learner in plan.learners if learner.service in services]
    routers = [router.name for router in plan.routers if not set(learners).isdisjoint(router.arms)]
    return Consumers(tuple(sorted(services)), tuple(sorted(learners)), tuple(sorted(routers)))
