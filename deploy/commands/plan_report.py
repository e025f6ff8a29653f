"""What `headrace plan` and `apply` tell of a project, before and besides what changes."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from headrace.deploy.commands.apply import CompiledProject
from headrace.deploy.commands.partitions import added_partitions, surplus_partitions
from headrace.deploy.commands.topics import misconfigured_topics, topic_ends, untrusted_event_times
from headrace.deploy.settings import Settings
from headrace.featurestore.compile.attributes import attributes_told
from headrace.featurestore.feast_repo.config_notes import config_notes
from headrace.featurestore.feast_repo.registration import deletes_rows
from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.store import PlanStore
from headrace.featurestore.plans.usage import NoUsage
from headrace.schemas.errors import PlanError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.runtime.topic_settings import SettingDifference, SettingsNotShown, repair_commands

LOOK_S = 5.0  # `plan` works without Kafka as well


def describe_changes(settings: Settings, compiled: CompiledProject, asks_kafka: bool) -> str:
    """Describe the changes against the plan in force, their cost, and the way back.

    Parameters
    ----------
    asks_kafka
        Whether to estimate times from records in Kafka, and to say what topics have deleted.
    """
    wanted = compiled.plan
    with redis_client(settings.redis) as client:
        try:
            current = PlanStore(client, wanted.project).in_force()
            if current is None or current.hash == wanted.hash:
                return report(current, wanted, NoUsage())
            from headrace.deploy.commands.usage import ProjectUsage  # what computes takes a second to import

            deletes = deletes_rows(compiled.parts.repository.config)
            usage = ProjectUsage(
                client, current, wanted, settings, deletes, asks_kafka and wanted.needs_kafka
            )
            return report(current, wanted, usage)
        except (PlanError, ServiceUnavailable) as error:
            return f"what would change cannot be told: {error}"
        except redis.RedisError as error:
            return f"what would change cannot be told: Redis does not say how much there is: {error}"


def describe_left_out(compiled: CompiledProject) -> list[str]:
    """Describe the objects of the repository that Feast takes and Headrace does not run."""
    reasons = compiled.parts.left_out
    return ["Left out, the rest runs:", *(f"  {reason}" for reason in reasons)] if reasons else []


def describe_configuration(settings: Settings, compiled: CompiledProject) -> list[str]:
    """Describe what configuration and objects say and Headrace does not do, and where Feast would read."""
    parts = compiled.parts
    told = attributes_told(parts.repository, parts.left_out, same=(settings.kafka,))
    return [*config_notes(parts.repository.config, settings.redis), *told]


def describe_topic_settings(settings: Settings, plan: Plan) -> list[str]:
    """Describe which settings of existing topics differ, and the commands that put them right."""
    if not plan.needs_kafka:
        return []
    kafka = settings.kafka_access
    try:
        differences = misconfigured_topics(kafka, plan)
    except SettingsNotShown as error:
        return [f"the settings of topics are not checked: {error}"]
    if not differences:
        return []
    return [*map(str, differences), *_remedy(settings, differences)]


def describe_event_times(settings: Settings, plan: Plan) -> list[str]:
    """Describe event topics that take timestamps from the future, and the commands that end that."""
    try:
        differences = untrusted_event_times(settings.kafka_access, plan)
    except (SettingsNotShown, ServiceUnavailable) as error:
        return [f"whether event topics take timestamps from the future is not checked: {error}"]
    if not differences:
        return []
    meaning = (
        "whether a record whose timestamp is ahead of the broker's clock is from the future depends on when "
        "it is read: a rebuild, a backfill or an audit may refuse others than the workers did. With the "
        "setting the broker refuses such records"
    )
    return [*map(str, differences), meaning, *_remedy(settings, differences)]


def _remedy(settings: Settings, differences: Sequence[SettingDifference]) -> list[str]:
    commands = repair_commands(settings.kafka_access, differences)
    return ["To put that right:", *(f"  {command}" for command in commands)]


def describe_topics(settings: Settings, plan: Plan) -> tuple[list[str], bool]:
    """Describe partitions and timestamps of topics, and return whether Kafka could be asked."""
    try:
        lines = _partitions(settings, plan)
    except ServiceUnavailable as error:
        return [_untold(error)], False
    return lines + describe_event_times(settings, plan), True


def describe_partitions(settings: Settings, plan: Plan) -> list[str]:
    """Describe partitions that were added to topics, and what that means for the views of a plan."""
    try:
        return _partitions(settings, plan)
    except ServiceUnavailable as error:
        return [_untold(error)]


def _untold(error: ServiceUnavailable) -> str:
    return f"whether topics fit the plan, and `headrace apply` takes them, cannot be told: {error}"


def _partitions(settings: Settings, plan: Plan) -> list[str]:
    if not plan.needs_kafka:
        return []
    ends = topic_ends(settings.kafka_access, plan, LOOK_S)
    lines = surplus_partitions(plan, ends)
    for added in added_partitions(plan, ends):
        lines += added.lines()
        if added.moving:
            lines.append(f"`headrace apply` refuses that without --allow-unsafe. {added.remedy}")
        else:
            lines.append("`headrace apply` gives its changelog as many; then start the workers anew")
    return lines
