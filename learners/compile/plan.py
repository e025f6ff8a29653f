"""Compilation of learners and routers into the plan: checks every rule before anything runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from headrace.featurestore.compile.definition import follows_from_error
from headrace.featurestore.feast_repo.definition_lines import DefinitionLines
from headrace.learners.compile.features import FeatureParts, Features
from headrace.learners.compile.frozen_models import check_frozen
from headrace.learners.compile.model_checks import fresh_model
from headrace.learners.compile.requirements import Requirements
from headrace.learners.compile.routers import RouterCompiler
from headrace.learners.compile.targets import check_model_kind, compile_domain, target_of
from headrace.learners.definitions import Learner, Router
from headrace.learners.models.definition_hash import definition_hash
from headrace.learners.project import Project
from headrace.schemas.errors import Consequence, DefinitionError, each_error, raise_all
from headrace.schemas.feature_names import name_clash
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import LOGGED_TYPES, ValueType
from headrace.schemas.logged_names import MOST_ELEMENTS, listed_type, logged_names
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec, RouterSpec

Item = TypeVar("Item")
Compiled = TypeVar("Compiled")


def compile_learners(
    project: Project, parts: FeatureParts
) -> tuple[tuple[LearnerSpec, ...], tuple[RouterSpec, ...]]:
    """Check all learners and routers, and compile them into their parts of the plan.

    Raises
    ------
    DefinitionError
        Names file, line, object, value and remedy; of several definitions that cannot be executed as written,
        all.
    """
    try:
        return _compile(project, parts)
    except DefinitionError as refused:
        lines = DefinitionLines(project.file.read_text(encoding="utf-8"))
        located = [error.at(lines.of(_owner(error))) for error in each_error(refused)]
        raise_all([*{str(error): error for error in located}.values()])
        raise


def _owner(error: DefinitionError) -> str:
    """Return the name of the learner or router that an error is about."""
    owner = re.search(r"\b(?:learner|router) '([^']*)'", error.name)
    return owner[1] if owner else ""


def _compile(project: Project, parts: FeatureParts) -> tuple[tuple[LearnerSpec, ...], tuple[RouterSpec, ...]]:
    requirements, features = Requirements(str(project.file)), Features(parts)
    errors: list[DefinitionError] = []
    by_name = {learner.name: learner for learner in project.learners}
    router_compiler = RouterCompiler(requirements, features, by_name)
    named = partial(_named, requirements, "learner", project.learners)
    learners = _each(project.learners, named(partial(_compile_learner, requirements, features)), errors)
    named = partial(_named, requirements, "router", project.routers)
    routers = _each(project.routers, named(router_compiler.compile), errors)
    raise_all(errors)
    _check_one_router_each(requirements, project.routers)
    _check_names(requirements, parts, learners, routers)
    return learners, routers


def _named(
    requirements: Requirements,
    kind: str,
    items: Sequence[Any],
    compile_one: Callable[[Any], Compiled],
) -> Callable[[Any], Compiled]:
    """Require the name of an item, one of these, before it is compiled."""
    counts = Counter(item.name for item in items)

    def compile_named(item: Any) -> Compiled:
        requirements.name(kind, counts, item.name)
        return compile_one(item)

    return compile_named


def _each(
    items: Iterable[Item], compile_one: Callable[[Item], Compiled], errors: list[DefinitionError]
) -> tuple[Compiled, ...]:
    """Compile each item; those that cannot be compiled leave their errors."""
    compiled = []
    for item in items:
        try:
            compiled.append(compile_one(item))
        except DefinitionError as error:
            errors.append(error)
    return tuple(compiled)


def _compile_learner(requirements: Requirements, features: Features, learner: Learner) -> LearnerSpec:
    if learner.service is not None:
        where = f"learner '{learner.name}'"
        if reason := features.reason("feature service", learner.service):
            problem = f"feature service '{learner.service}' does not run: {reason.problem}"
            make = Consequence if follows_from_error(reason) else DefinitionError
            raise make(requirements.file, where, problem, reason.remedy)
        requirements.known(where, "feature service", learner.service, features.services)
    domain = compile_domain(requirements, learner)
    target = target_of(learner).name
    requirements.fields(f"learner '{learner.name}'", (target, *learner.request))
    inputs = _inputs(requirements, features, learner)
    check_frozen(requirements, learner, inputs, domain)
    from headrace.learners.compile.learning_checks import check_learning  # with all of river

    model = fresh_model(requirements.file, learner)
    check_model_kind(requirements, learner, model, domain)
    check_learning(requirements.file, learner, inputs, domain)
    return LearnerSpec(
        name=learner.name,
        service=learner.service,
        request=tuple(learner.request),
        target=target,
        domain=domain,
        definition=definition_hash(model, [*inputs], domain),
    )


def _inputs(requirements: Requirements, features: Features, learner: Learner) -> dict[str, ValueType]:
    """Return names and types of the model's inputs; require that a model and the prediction log take them."""
    where = f"learner '{learner.name}'"
    inputs: dict[str, ValueType] = {}
    for name, field in features.served(learner).items():
        if fault := _untaken(field):
            problem, remedy = fault
            requirements.require(False, where, f"feature '{name}' of its service {problem}", remedy)
        inputs |= {each.name: each.dtype for each in logged_names(name, field)}
    for view, field in features.on_demand_fields(learner):
        problem = f"on-demand view '{view}' takes the request field '{field.name}', a {field.dtype}"
        remedy = "Read a service without it; requests bring numbers, booleans, text and times"
        requirements.require(field.dtype in LOGGED_TYPES, where, problem, remedy)
    return inputs | {name: features.request_type(name) for name in learner.request}


def _untaken(field: FieldSpec) -> tuple[str, str] | None:
    """Say why no model takes a feature, and the remedy; None where one does."""
    if field.dtype in LOGGED_TYPES:
        return None
    if listed_type(field.dtype) is None:
        return (
            f"is {field.dtype}, which a model cannot take in",
            "Read a service without it; an online model takes numbers, booleans, text, times and lists of "
            "these",
        )
    if not 0 < field.length <= MOST_ELEMENTS:
        return (
            f"is {field.dtype}, a list of {field.length or 'no declared'} elements",
            f"Declare how many of its first elements models take, Field(..., vector_length=1 to "
            f"{MOST_ELEMENTS}), or read a service without it",
        )
    return None


def _check_names(
    requirements: Requirements,
    parts: FeatureParts,
    learners: tuple[LearnerSpec, ...],
    routers: tuple[RouterSpec, ...],
) -> None:
    """Require that all that a router reads and is sent has names of its own."""
    plan = Plan(
        project="any",
        stream_views=parts.stream_views,
        batch_views=parts.batch_views,
        on_demand_views=parts.on_demand_views,
        services=parts.services,
        learners=learners,
        routers=routers,
    )
    for router in routers:
        sent = (*router.entities, *router.request)
        clash = name_clash(plan, plan.logged_features(router), sent, logged=True)
        requirements.require(clash is None, f"router '{router.name}'", clash or "", "Rename one of the two")


def _check_one_router_each(requirements: Requirements, routers: Sequence[Router]) -> None:
    for name, count in Counter(arm for router in routers for arm in router.arms).items():
        problem = f"it is an arm of {count} routers, and a learner learns from one"
        remedy = "Define a second learner with the same model"
        requirements.require(count == 1, f"learner '{name}'", problem, remedy)
