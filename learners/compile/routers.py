"""Compilation of one router: its arms, its request, its outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from headrace.learners.compile.features import Features, avro_fields
from headrace.learners.compile.label_rules import LabelRules
from headrace.learners.compile.policies import compile_policy
from headrace.learners.compile.requirements import Requirements
from headrace.learners.compile.targets import compile_domain, target_of
from headrace.learners.definitions import Learner, Router
from headrace.schemas.domains import BINARY
from headrace.schemas.feature_types import ValueType
from headrace.schemas.marks import MOST_PARTITIONS
from headrace.schemas.numbers import LONGEST_MS
from headrace.schemas.router_specs import OutcomeSpec, RouterSpec

_ENTITY_TYPES: tuple[ValueType, ...] = ("Int32", "Int64", "String")  # as requests bring them


class RouterCompiler:
    """Compiles routers into their part of the plan.

    Parameters
    ----------
    requirements
        Raises for what cannot be executed.
    features
        What learners read.
    learners
        By name.
    """

    def __init__(
        self, requirements: Requirements, features: Features, learners: Mapping[str, Learner]
    ) -> None:
        self._requirements, self._features, self._learners = requirements, features, learners

    def compile(self, router: Router) -> RouterSpec:
        """Check a router and return its specification.

        Raises
        ------
        DefinitionError
            When it cannot be executed as written.
        """
        where = f"router '{router.name}'"
        self._check_arms(where, router)
        self._check_inputs(where, router)
        self._check_numbers(where, router)
        champion = self._learners[router.champion]
        target, domain = target_of(champion).name, compile_domain(self._requirements, champion)
        labels = LabelRules(self._requirements, router, target, domain)
        labels.check()
        return RouterSpec(
            name=router.name,
            arms=tuple(router.arms),
            champion=router.champion,
            target=target,
            domain=domain,
            unit=router.unit,
            entities=tuple(router.entities),
            request=tuple(router.request),
            outcome=self._outcome(where, router, labels),
            wait_ms=_ms(router.wait),
            missing=router.missing,
            duplicates=router.duplicates,
            feedback=router.feedback,
            reward=labels.reward(),
            policy=compile_policy(self._requirements, where, router.policy, router.arms),
            refresh_ms=_ms(router.refresh),
            publish_ms=0 if router.publish is None else _ms(router.publish),
            partitions=router.partitions,
            salt=router.salt,
            default=labels.default(),
        )

    def _check_arms(self, where: str, router: Router) -> None:
        require, known = self._requirements.require, self._requirements.known
        require(bool(router.arms), where, "it has no arms", "Name at least one learner in `arms`")
        for arm in router.arms:
            known(where, "arm", arm, self._learners)
        self._requirements.names(f"arm of {where}", router.arms)
        known(where, "champion", router.champion, router.arms)
        targets = {arm: self._target(arm) for arm in router.arms}
        listed = ", ".join(f"{arm}: {target}" for arm, target in targets.items())
        problem = f"its arms predict different targets ({listed})"
        require(len(set(targets.values())) == 1, where, problem, "Route among learners of one target")

    def _target(self, arm: str) -> str:
        """Return the target of an arm in words."""
        learner = self._learners[arm]
        domain = compile_domain(self._requirements, learner)
        return f"'{target_of(learner).name}'" + ("" if domain == BINARY else f", {domain.text}")

    def _check_inputs(self, where: str, router: Router) -> None:
        self._requirements.fields(where, (*router.entities, *router.request))
        self._requirements.known(where, "unit", router.unit, {*router.entities, *router.request})
        for arm in router.arms:
            self._check_request_fields(where, router, arm)
            self._check_join_keys(where, router, arm)

    def _check_request_fields(self, where: str, router: Router, arm: str) -> None:
        require, learner = self._requirements.require, self._learners[arm]
        sent = {*router.entities, *router.request}
        for name in learner.request:
            problem = f"arm '{arm}' reads the request feature '{name}', which is not in `request`"
            require(name in sent, where, problem, f"Add '{name}' to `request`")
        for view, field in self._features.on_demand_fields(learner):
            problem = f"arm '{arm}' reads on-demand view '{view}', whose request field '{field.name}' is "
            problem += "neither in `request` nor in `entities`"
            require(field.name in sent, where, problem, f"Add '{field.name}' to `request`")

    def _check_join_keys(self, where: str, router: Router, arm: str) -> None:
        require = self._requirements.require
        for view, key in self._features.join_keys(self._learners[arm]):
            problem = f"arm '{arm}' reads view '{view}', but its join key '{key.name}' is not in `entities`"
            require(key.name in router.entities, where, problem, f"Add '{key.name}' to `entities`")
            problem = f"arm '{arm}' reads view '{view}', whose join key '{key.name}' is {key.dtype}"
            remedy = f"Read views whose join keys are {', '.join(_ENTITY_TYPES)}"
            require(key.dtype in _ENTITY_TYPES, where, problem, remedy)

    def _check_numbers(self, where: str, router: Router) -> None:
        require = self._requirements.require
        spans = {"wait": router.wait, "refresh": router.refresh, "publish": router.publish}
        for name, span in spans.items():
            remedy = f"Give `{name}` a timedelta from a millisecond to {LONGEST_MS // 86_400_000} days"
            require(span is None or 0 < _ms(span) <= LONGEST_MS, where, f"`{name}` is {span}", remedy)
        fits = 1 <= router.partitions <= MOST_PARTITIONS
        remedy = f"Use a number from 1 to {MOST_PARTITIONS}"
        require(fits, where, f"`partitions` is {router.partitions}", remedy)

    def _outcome(self, where: str, router: Router, labels: LabelRules) -> OutcomeSpec | None:
        outcome, known = router.outcome, self._requirements.known
        if outcome is None:
            return None
        known(where, "outcome source", outcome.source, self._features.sources)
        fields = avro_fields(self._features.sources[outcome.source])
        for kind, name in (("key", outcome.key), ("label", outcome.label), ("id", outcome.id)):
            if name is not None:
                known(where, f"outcome {kind} field", name, fields)
        labels.check_field(self._features.sources[outcome.source], outcome.label)
        return OutcomeSpec(
            source=outcome.source, key_field=outcome.key, label_field=outcome.label, id_field=outcome.id
        )


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)
