"""From definitions to the plan: every rule that can be checked before anything runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from headrace.learners.compile.model_checks import check_deterministic, fresh_model
from headrace.learners.definitions import EpsilonGreedy, FixedSplit, Learner, Policy, Router, ThompsonSampling
from headrace.learners.models.definition_hash import definition_hash
from headrace.learners.project import Project
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.feature_types import LOGGED_TYPES, ValueType
from headrace.schemas.router_specs import LearnerSpec, OutcomeSpec, PolicySpec, RouterSpec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ENTITY_TYPES: tuple[ValueType, ...] = ("Int32", "Int64", "String")  # as requests bring them
_AVRO: dict[str, ValueType] = {"string": "String", "boolean": "Bool", "int": "Int64", "long": "Int64"}


class FeatureParts(Protocol):
    """What is taken from the compiled feature repository; a `Plan` has it too."""

    @property
    def sources(self) -> tuple[SourceSpec, ...]: ...
    @property
    def stream_views(self) -> tuple[StreamViewSpec, ...]: ...
    @property
    def batch_views(self) -> tuple[BatchViewSpec, ...]: ...
    @property
    def on_demand_views(self) -> tuple[OnDemandViewSpec, ...]: ...
    @property
    def services(self) -> tuple[FeatureServiceSpec, ...]: ...


def compile_learners(
    project: Project, parts: FeatureParts
) -> tuple[tuple[LearnerSpec, ...], tuple[RouterSpec, ...]]:
    """Check all learners and routers and compile them into their parts of the plan.

    Raises
    ------
    DefinitionError
        For the first definition that cannot be executed as written; names file, object, value and remedy.
    """
    return _Compiler(project, parts).compile()


class _Compiler:
    def __init__(self, project: Project, parts: FeatureParts) -> None:
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*parts.stream_views, *parts.batch_views)
        self._project = project
        self._services = {s.name: s for s in parts.services}
        self._views = {v.name: v for v in views}
        self._on_demand = {v.name: v for v in parts.on_demand_views}
        self._sources = {s.name: s for s in parts.sources}
        self._learners = {learner.name: learner for learner in project.learners}

    def compile(self) -> tuple[tuple[LearnerSpec, ...], tuple[RouterSpec, ...]]:
        self._names("learner", [learner.name for learner in self._project.learners])
        self._names("router", [router.name for router in self._project.routers])
        learners = tuple(self._learner(learner) for learner in self._project.learners)
        routers = tuple(self._router(router) for router in self._project.routers)
        self._one_router_each()
        return learners, routers

    def _require(self, holds: bool, where: str, problem: str, remedy: str) -> None:
        if not holds:
            raise DefinitionError(str(self._project.file), where, problem, remedy)

    def _names(self, kind: str, names: Sequence[str]) -> None:
        for name, count in Counter(names).items():
            where = f"{kind} '{name}'"
            self._require(count == 1, where, f"{count} {kind}s have this name", "Give each its own name")
            problem = "the name becomes part of topic and file names"
            remedy = "Use letters, digits, '.', '_' and '-' only"
            self._require(bool(_NAME.fullmatch(name)), where, problem, remedy)

    def _known(self, where: str, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        remedy = f"Use one of: {', '.join(names) or '(none defined)'}"
        self._require(name in names, where, f"{kind} '{name}' does not exist", remedy)

    def _learner(self, learner: Learner) -> LearnerSpec:
        where, file = f"learner '{learner.name}'", str(self._project.file)
        if learner.service is not None:
            self._known(where, "feature service", learner.service, self._services)
        model = fresh_model(file, learner)
        inputs = self._inputs(learner)
        check_deterministic(file, learner, inputs)
        return LearnerSpec(
            name=learner.name,
            service=learner.service,
            request=tuple(learner.request),
            target=learner.target,
            definition=definition_hash(model, [*inputs]),
        )

    def _inputs(self, learner: Learner) -> dict[str, ValueType]:
        """Names and types of what the model sees; a request feature has the type of its namesake."""
        views = (*self._views.values(), *self._on_demand.values())
        types = {(v.name, f.name): f.dtype for v in views for f in v.features}
        inputs = {ref.full_name: types[ref.view, ref.feature] for ref in self._read(learner)}
        for name, dtype in inputs.items():
            problem = f"feature '{name}' of its service is {dtype}, which a model cannot take in"
            remedy = "Read a service without it; an online model takes numbers, booleans, text and times"
            self._require(dtype in LOGGED_TYPES, f"learner '{learner.name}'", problem, remedy)
        for view, field in self._asked(learner):
            problem = f"on-demand view '{view}' takes the request field '{field.name}', a {field.dtype}"
            remedy = "Read a service without it; requests bring numbers, booleans, text and times"
            self._require(field.dtype in LOGGED_TYPES, f"learner '{learner.name}'", problem, remedy)
        return inputs | {name: self._request_type(name) for name in learner.request}

    def _read(self, learner: Learner) -> tuple[FeatureRef, ...]:
        service = self._services.get(learner.service or "")
        return service.features if service else ()

    def _asked(self, learner: Learner) -> list[tuple[str, FieldSpec]]:
        """What the on-demand views of its service take from the request, with the view."""
        views = dict.fromkeys(ref.view for ref in self._read(learner) if ref.view in self._on_demand)
        return [(view, field) for view in views for field in self._on_demand[view].request]

    def _request_type(self, name: str) -> ValueType:
        for view in self._views.values():
            for key in view.join_keys:
                if key.name == name:
                    return key.dtype
        for on_demand in self._on_demand.values():
            for field in on_demand.request:
                if field.name == name:
                    return field.dtype
        for source in self._sources.values():
            if name in (fields := _avro_fields(source)):
                return fields[name]
        return "Float64"

    def _router(self, router: Router) -> RouterSpec:
        where = f"router '{router.name}'"
        self._check_arms(where, router)
        self._check_inputs(where, router)
        self._check_numbers(where, router)
        return RouterSpec(
            name=router.name,
            arms=tuple(router.arms),
            champion=router.champion,
            target=self._learners[router.champion].target,
            unit=router.unit,
            entities=tuple(router.entities),
            request=tuple(router.request),
            outcome=self._outcome(where, router),
            wait_ms=_ms(router.wait),
            missing=router.missing,
            duplicates=router.duplicates,
            feedback=router.feedback,
            reward=router.reward,
            policy=self._policy(where, router.policy, router.arms),
            refresh_ms=_ms(router.refresh),
            publish_ms=0 if router.publish is None else _ms(router.publish),
            partitions=router.partitions,
            salt=router.salt,
            default=router.default,
        )

    def _check_arms(self, where: str, router: Router) -> None:
        self._require(bool(router.arms), where, "it has no arms", "Name at least one learner in `arms`")
        for arm in router.arms:
            self._known(where, "arm", arm, self._learners)
        self._names(f"arm of {where}", router.arms)
        self._known(where, "champion", router.champion, router.arms)
        targets = {arm: self._learners[arm].target for arm in router.arms}
        told = ", ".join(f"{arm}: '{target}'" for arm, target in targets.items())
        problem = f"its arms predict different targets ({told})"
        self._require(len(set(targets.values())) == 1, where, problem, "Route among learners of one target")

    def _check_inputs(self, where: str, router: Router) -> None:
        brought = {*router.entities, *router.request}
        self._known(where, "unit", router.unit, brought)
        for arm in router.arms:
            learner = self._learners[arm]
            for name in learner.request:
                problem = f"arm '{arm}' reads the request feature '{name}', which is not in `request`"
                self._require(name in brought, where, problem, f"Add '{name}' to `request`")
            for view, field in self._asked(learner):
                problem = f"arm '{arm}' reads on-demand view '{view}', whose request field '{field.name}' is "
                problem += "neither in `request` nor in `entities`"
                self._require(field.name in brought, where, problem, f"Add '{field.name}' to `request`")
            for view, key in self._join_keys(learner):
                problem = (
                    f"arm '{arm}' reads view '{view}', but its join key '{key.name}' is not in `entities`"
                )
                self._require(key.name in router.entities, where, problem, f"Add '{key.name}' to `entities`")
                problem = f"arm '{arm}' reads view '{view}', whose join key '{key.name}' is {key.dtype}"
                remedy = f"Read views whose join keys are {', '.join(_ENTITY_TYPES)}"
                self._require(key.dtype in _ENTITY_TYPES, where, problem, remedy)

    def _join_keys(self, learner: Learner) -> list[tuple[str, FieldSpec]]:
        inputs = {name: [ref.view for ref in view.inputs] for name, view in self._on_demand.items()}
        read = [name for ref in self._read(learner) for name in inputs.get(ref.view, [ref.view])]
        return [(view, key) for view in dict.fromkeys(read) for key in self._views[view].join_keys]

    def _check_numbers(self, where: str, router: Router) -> None:
        spans = {"wait": router.wait, "refresh": router.refresh, "publish": router.publish}
        for name, span in spans.items():
            remedy = f"Give `{name}` a positive timedelta"
            self._require(span is None or _ms(span) > 0, where, f"`{name}` is {span}", remedy)
        problem = f"`partitions` is {router.partitions}"
        self._require(router.partitions >= 1, where, problem, "Use 1 or more")
        problem = f"`default` is {router.default:g}"
        self._require(0.0 <= router.default <= 1.0, where, problem, "Use a probability in [0, 1]")

    def _outcome(self, where: str, router: Router) -> OutcomeSpec | None:
        outcome = router.outcome
        if outcome is None:
            return None
        self._known(where, "outcome source", outcome.source, self._sources)
        fields = _avro_fields(self._sources[outcome.source])
        for kind, name in (("key", outcome.key), ("label", outcome.label), ("id", outcome.id)):
            if name is not None:
                self._known(where, f"outcome {kind} field", name, fields)
        return OutcomeSpec(
            source=outcome.source, key_field=outcome.key, label_field=outcome.label, id_field=outcome.id
        )

    def _policy(self, where: str, policy: Policy, arms: Sequence[str]) -> PolicySpec:
        if isinstance(policy, ThompsonSampling):
            return self._thompson(where, policy, len(arms))
        if isinstance(policy, EpsilonGreedy):
            problem = f"`epsilon` is {policy.epsilon:g}"
            self._require(0.0 <= policy.epsilon <= 1.0, where, problem, "Use a value in [0, 1]")
            return PolicySpec(kind="epsilon_greedy", epsilon=policy.epsilon)
        problem, remedy = f"`policy` is {policy!r}", "Use ThompsonSampling, FixedSplit or EpsilonGreedy"
        self._require(isinstance(policy, FixedSplit), where, problem, remedy)
        self._check_shares(where, policy.shares, arms)
        return PolicySpec(kind="fixed", shares=dict(policy.shares))

    def _thompson(self, where: str, policy: ThompsonSampling, arms: int) -> PolicySpec:
        problem = f"`floor` {policy.floor:g} times {arms} arms is {policy.floor * arms:g}, not in [0, 1]"
        remedy = f"Use a floor from 0 to {1 / arms:.4g}"
        self._require(0.0 <= policy.floor * arms <= 1.0, where, problem, remedy)
        problem = f"`discount` is {policy.discount:g}"
        self._require(0.0 < policy.discount <= 1.0, where, problem, "Use a value in (0, 1]")
        known = f"`posterior` is {policy.posterior!r}"
        self._require(policy.posterior in ("beta", "normal"), where, known, "Use 'beta' or 'normal'")
        return PolicySpec(
            kind="thompson", posterior=policy.posterior, discount=policy.discount, floor=policy.floor
        )

    def _check_shares(self, where: str, shares: Mapping[str, float], arms: Sequence[str]) -> None:
        for arm in shares:
            self._known(where, "arm in `shares`", arm, arms)
        problem = f"`shares` {dict(shares)} sum to {sum(shares.values()):g}"
        sound = min(shares.values(), default=0.0) >= 0 and abs(sum(shares.values()) - 1.0) <= 1e-9
        self._require(sound, where, problem, "Make them sum to 1, none below 0")

    def _one_router_each(self) -> None:
        for name, count in Counter(arm for router in self._project.routers for arm in router.arms).items():
            problem = f"it is an arm of {count} routers, and a learner learns from one"
            remedy = "Define a second learner with the same model"
            self._require(count == 1, f"learner '{name}'", problem, remedy)


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _avro_fields(source: SourceSpec) -> dict[str, ValueType]:
    return {field["name"]: _avro_type(field["type"]) for field in json.loads(source.reader_schema)["fields"]}


def _avro_type(declared: Any) -> ValueType:
    if isinstance(declared, list):  # a union: its first branch that is not null
        declared = next((branch for branch in declared if branch != "null"), "string")
    if isinstance(declared, dict):
        declared = declared["type"]
    return _AVRO.get(declared, "Float64")
