"""`headrace plan` and `headrace apply`: compile, register, make topics, store the plan."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.commands.partitions import added_partitions, refuse_moved_keys, surplus_partitions
from headrace.deploy.commands.topics import ensure_topics, misconfigured_topics, topic_ends
from headrace.deploy.settings import Settings
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.safety import unsafe_changes
from headrace.featurestore.plans.store import PlanStore
from headrace.featurestore.plans.usage import NoUsage, RedisPlanUsage
from headrace.learners.compile.plan import compile_learners
from headrace.learners.project import load_project
from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.runtime.topic_settings import SettingsNotShown, repair_commands

_LOOK_S = 5.0  # `plan` works without Kafka as well


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

    def file_of(self, kind: str, name: str) -> str:
        """Return the file that defines an object; the repository's folder for one that is gone."""
        return self.learners_file if kind in ("learner", "router") else self.parts.file_of(kind, name)


def compile_project(project_dir: Path) -> CompiledProject:
    """Compile a repository with its ``learners.py``. Nothing is written.

    Raises
    ------
    DefinitionError
        Names file, object, value and remedy; of several errors all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Feast's, about what the user may write
        parts = compile_features(project_dir)
        project = load_project(project_dir)
        learners, routers = compile_learners(project, parts)
    return CompiledProject(parts.plan(learners, routers), parts, project.file.name)


def apply_plan(settings: Settings, plan: Plan, allow_unsafe: bool = False) -> None:
    """Register with Feast, make the topics, and last store the plan, which the processes read.

    Parameters
    ----------
    allow_unsafe
        Also when partitions were added to topics that views read directly.
    """
    settings.make_data_dir()
    with warnings.catch_warnings(), redis_client(settings.redis) as online:
        warnings.simplefilter("ignore", DeprecationWarning)
        register(settings.project_dir, settings.feature_log_dir, online)
    ensure_topics(
        settings.kafka_access,
        plan,
        settings.replication,
        settings.event_partitions,
        settings.topic_partitions,
        allow_moved_keys=allow_unsafe,
    )
    PlanStore(settings.redis, plan.project, settings.plan_signing_key()).save(plan)


def describe_left_out(compiled: CompiledProject) -> list[str]:
    """Describe the objects of the repository that Feast takes and Headrace does not run."""
    reasons = compiled.parts.left_out
    return ["Left out, the rest runs:", *(f"  {reason}" for reason in reasons)] if reasons else []


def describe_topic_settings(settings: Settings, plan: Plan) -> list[str]:
    """Describe which settings of existing topics differ, and the commands that put them right."""
    kafka = settings.kafka_access
    try:
        differences = misconfigured_topics(kafka, plan)
    except SettingsNotShown as error:
        return [f"the settings of topics are not checked: {error}"]
    if not differences:
        return []
    commands = repair_commands(kafka, differences)
    return [*map(str, differences), "To put that right:", *(f"  {command}" for command in commands)]


def refuse_added_partitions(settings: Settings, plan: Plan) -> None:
    """Refuse a plan with views that read topics directly to which partitions were added.

    Raises
    ------
    PlanError
        Names the topics, the views, what their values would be, and the remedy.
    ServiceUnavailable
        When Kafka does not answer.
    """
    refuse_moved_keys(plan, topic_ends(settings.kafka_access, plan))


def describe_partitions(settings: Settings, plan: Plan) -> list[str]:
    """Describe partitions that were added to topics, and what that means for the views of a plan."""
    try:
        ends = topic_ends(settings.kafka_access, plan, _LOOK_S)
    except ServiceUnavailable as error:
        return [f"whether partitions were added to topics cannot be told: {error}"]
    lines = surplus_partitions(plan, ends)
    for added in added_partitions(plan, ends):
        lines += added.lines()
        if added.moving:
            lines.append(f"`headrace apply` refuses that without --allow-unsafe. {added.remedy}")
        else:
            lines.append("`headrace apply` gives its changelog as many; then start the workers anew")
    return lines


def describe_changes(settings: Settings, wanted: Plan) -> str:
    """Describe the changes against the plan in force, and their cost."""
    client = redis_client(settings.redis)
    try:
        current = PlanStore(client, wanted.project).in_force()
    except PlanError as error:
        return f"what would change cannot be told: {error}"
    return report(current, wanted, RedisPlanUsage(client, current) if current else NoUsage())


def refuse_unsafe_changes(settings: Settings, wanted: CompiledProject) -> None:
    """Refuse changes that break consumers of the plan in force.

    Raises
    ------
    PlanError
        Names file, object, value and remedy of each unsafe change; or says that the plan in force cannot be
        read.
    """
    try:
        current = PlanStore(settings.redis, wanted.plan.project).in_force()
    except PlanError as error:
        raise PlanError(
            f"{error}. What of it is in use cannot be told; to replace it all the same: "
            "headrace apply --allow-unsafe"
        ) from error
    unsafe = unsafe_changes(current, wanted.plan)
    if not unsafe:
        return
    lines = []
    for change in unsafe:
        where = Definition(wanted.file_of(change.kind, change.name), f"{change.kind} '{change.name}'")
        where = where.part(change.part) if change.part else where
        lines.append(f"  {where.error(change.problem, change.remedy)}")
    many = "an unsafe change" if len(unsafe) == 1 else f"{len(unsafe)} unsafe changes"
    raise PlanError(
        "\n".join(
            [f"{many}; nothing was applied:", *lines, "To do it all the same: headrace apply --allow-unsafe"]
        )
    )
