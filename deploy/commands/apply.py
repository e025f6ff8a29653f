"""`headrace apply`: compile, find what refuses it, make topics, and in one moment put the plan in force."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import redis

from headrace.deploy.commands.refusals import PlaceOf, refuse, refuse_topics, refuse_unsafe_changes
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.settings import Settings
from headrace.featurestore.batch.progress import forget_materialized
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.featurestore.compile.features import survey_features
from headrace.featurestore.feast_repo.environment import CONFIG_FILE
from headrace.featurestore.feast_repo.registration import Registration
from headrace.featurestore.online.removal import remove_rows
from headrace.featurestore.plans.diff import ONLINE_STORE
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.compile.plan import compile_learners
from headrace.learners.project import Project, load_project
from headrace.schemas.errors import (
    Consequence,
    DefinitionError,
    HeadraceError,
    NotDefined,
    ServiceUnavailable,
    each_error,
    raise_all,
)
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec, RouterSpec
from headrace.streams.connections.redis import redis_client

Result = TypeVar("Result")


@dataclass(frozen=True)
class CompiledProject:
    """A plan, and the repository it was compiled from.

    Attributes
    ----------
    parts
        The compiled feature definitions, which know their files.
    learners_file
        Name of the file of learners and routers.
    """

    plan: Plan
    parts: FeatureParts
    learners_file: str

    def place_of(self, kind: str, name: str) -> str:
        """Return file and line that define an object; the repository's folder for one that is gone."""
        if kind == ONLINE_STORE:
            return CONFIG_FILE
        return self.learners_file if kind in ("learner", "router") else self.parts.place_of(kind, name)


def compile_project(project_dir: Path) -> CompiledProject:
    """Compile a repository with its ``learners.py``. Nothing is written.

    Raises
    ------
    DefinitionError
        Names file, object, value and remedy; of several errors all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Feast's, about what the user may write
        errors: list[DefinitionError] = []
        parts = _attempt(lambda: survey_features(project_dir), errors)
        project = _attempt(lambda: load_project(project_dir), errors)
        errors += parts.errors if parts else []
        compiled = _compile_learners(project, parts, errors) if parts and project else None
    raise_all(errors)
    assert parts is not None
    assert project is not None
    assert compiled is not None
    return CompiledProject(parts.plan(*compiled), parts, project.file.name)


def _attempt(step: Callable[[], Result], errors: list[DefinitionError]) -> Result | None:
    """Return the result of a step; None where it refuses something, which is added to the errors."""
    try:
        return step()
    except DefinitionError as error:
        errors += each_error(error)
        return None


def _compile_learners(
    project: Project, parts: FeatureParts, errors: list[DefinitionError]
) -> tuple[tuple[LearnerSpec, ...], tuple[RouterSpec, ...]] | None:
    """Compile learners beside features that may have errors; what only follows from those is not told."""
    own: list[DefinitionError] = []
    compiled = _attempt(lambda: compile_learners(project, parts), own)
    follow = (Consequence, NotDefined) if parts.repository.errors else (Consequence,)
    errors += [error for error in own if not isinstance(error, follow)]
    return compiled


@dataclass(frozen=True)
class PreparedPlan:
    """A plan that nothing refuses."""

    settings: Settings
    plan: Plan
    registration: Registration
    allow_unsafe: bool

    def apply(self) -> None:
        """Put the plan in force, with Feast's registry and the topics that it needs: all of it or nothing.

        Whatever may fail comes before the moment that puts the plan in force. Then the rows and registrations
        of what is gone are deleted. Where that fails, another `apply` goes on with it.

        Raises
        ------
        HeadraceError
            When something is refused or away. The plan in force is the one before, and so is the registry,
            unless the message says that the plan is in force.
        """
        settings, plan = self.settings, self.plan
        settings.make_data_dir()
        with warnings.catch_warnings(), redis_client(settings.redis) as online:
            warnings.simplefilter("ignore", DeprecationWarning)
            if plan.needs_kafka:
                self._ensure_topics()
            plans = PlanStore(online, plan.project, settings.plan_signing_key())
            plans.keep(plan)
            with self.registration.added():
                plans.put_in_force(plan)
            try:
                self._delete_what_is_gone(online)
            except HeadraceError as error:
                raise ServiceUnavailable(
                    f"plan {plan.hash[:12]} is in force, and what it does not define any more is not deleted "
                    f"yet: {error}. Run `headrace apply` again"
                ) from error

    def _ensure_topics(self) -> None:
        settings = self.settings
        ensure_topics(
            settings.kafka_access,
            self.plan,
            settings.replication,
            settings.event_partitions,
            settings.topic_partitions,
            allow_moved_keys=self.allow_unsafe,
        )

    def _delete_what_is_gone(self, online: redis.Redis) -> None:
        """Delete the rows of views that are gone, and last their registrations, by which they are known."""
        if self.registration.deletes_rows:
            for view in self.registration.removed_views():
                forget_materialized(online, self.plan.project, view.name)
                remove_rows(
                    online,
                    self.plan.project,
                    view.name,
                    view.join_keys,
                    view.features,
                    self.plan.online.key_version,
                )
        self.registration.remove()


def prepare(
    settings: Settings,
    plan: Plan,
    allow_unsafe: bool = False,
    place_of: PlaceOf | None = None,
    kafka_timeout_s: float = 60.0,
) -> PreparedPlan:
    """Find whatever refuses a plan, for `headrace plan` and `headrace apply` alike. Nothing is written.

    Parameters
    ----------
    allow_unsafe
        Also when partitions were added to topics that views read directly, or consumers would break.
    place_of
        Names the places of definitions; None does not ask what breaks consumers.
    kafka_timeout_s
        How long Kafka may take; 0 does not ask it.

    Raises
    ------
    HeadraceError
        With all refusals.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        registration = _registration(settings)
        checks: list[Callable[[], object]] = [registration.rehearse, settings.plan_signing_key]
        if place_of is not None and not allow_unsafe:
            checks.insert(0, partial(refuse_unsafe_changes, settings, plan, place_of))
        if kafka_timeout_s:
            checks.append(partial(refuse_topics, settings, plan, allow_unsafe, kafka_timeout_s))
        refuse(checks)
    return PreparedPlan(settings, plan, registration, allow_unsafe)


def _registration(settings: Settings) -> Registration:
    return Registration(settings.project_dir, settings.feature_log_dir, settings.feast_registry)


def rehearse(settings: Settings) -> None:
    """Let Feast refuse what it would refuse of a repository; see `Registration.rehearse`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _registration(settings).rehearse()


def apply_plan(settings: Settings, plan: Plan) -> None:
    """Prepare a plan and apply it, whatever is in force."""
    prepare(settings, plan).apply()
