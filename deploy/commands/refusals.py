"""What `headrace apply` refuses, found before anything is written and told all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.deploy.commands.topics import check_topics
from headrace.deploy.settings import Settings
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.plans.safety import unsafe_changes
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import HeadraceError, PlanError
from headrace.schemas.plan import Plan

PlaceOf = Callable[[str, str], str]  # file and line that define the object of a kind and name


def refuse(checks: Sequence[Callable[[], object]]) -> None:
    """Run every check, and raise what they refuse.

    Raises
    ------
    HeadraceError
        The one that there is; of several a `PlanError` with all of them.
    """
    refusals = refusals_of(checks)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        lines = [f"{number}. {error}" for number, error in enumerate(refusals, 1)]
        raise PlanError("\n".join([f"{len(refusals)} refusals; nothing was applied:", *lines]))


def refusals_of(checks: Sequence[Callable[[], object]]) -> list[HeadraceError]:
    """Run every check, and return what they refuse."""
    refusals = []
    for check in checks:
        try:
            check()
        except HeadraceError as error:
            refusals.append(error)
    return refusals


def refuse_topics(
    settings: Settings, plan: Plan, allow_unsafe: bool = False, timeout_s: float = 60.0
) -> None:
    """Refuse topics that do not fit a plan, or that Kafka would not make.

    Raises
    ------
    PlanError
        When partitions were added to topics that views read directly; not with `allow_unsafe`.
    SettingsError
        When a topic has another number of partitions than the plan needs.
    ServiceUnavailable
        When Kafka does not answer, or refuses a topic.
    """
    if plan.needs_kafka:
        check_topics(
            settings.kafka_access,
            plan,
            settings.replication,
            settings.event_partitions,
            settings.topic_partitions,
            timeout_s,
            allow_unsafe,
        )


def refuse_unsafe_changes(settings: Settings, plan: Plan, place_of: PlaceOf) -> None:
    """Refuse changes that break consumers of the plan in force.

    Raises
    ------
    PlanError
        Names file, object, value and remedy of each unsafe change; or says that the plan in force cannot be
        read.
    """
    try:
        current = PlanStore(settings.redis, plan.project).in_force()
    except PlanError as error:
        raise PlanError(
            f"{error}. What of it is in use cannot be told; to replace it all the same: "
            "headrace apply --allow-unsafe"
        ) from error
    unsafe = unsafe_changes(current, plan)
    if not unsafe:
        return
    lines = []
    for change in unsafe:
        where = Definition(place_of(change.kind, change.name), f"{change.kind} '{change.name}'")
        where = where.part(change.part) if change.part else where
        lines.append(f"  {where.error(change.problem, change.remedy)}")
    many = "an unsafe change" if len(unsafe) == 1 else f"{len(unsafe)} unsafe changes"
    raise PlanError(
        "\n".join(
            [f"{many}; nothing was applied:", *lines, "To do it all the same: headrace apply --allow-unsafe"]
        )
    )
