"""`headrace plan` and `headrace apply`: from a repository to a registered, stored plan with its topics."""

from __future__ import annotations

import warnings
from pathlib import Path

from deploy.settings import Settings
from deploy.topics_admin import ensure_topics
from featurestore.plan_diff import plan_diff
from featurestore.plan_store import PlanStore
from featurestore.repository import compile_features, register
from learners.compile import compile_learners
from learners.project import load_project
from schemas.errors import PlanError
from schemas.plan import Plan


def compile_plan(project_dir: Path) -> Plan:
    """Read and validate a repository with its ``learners.py``. Nothing is written.

    Raises
    ------
    DefinitionError
        Names file, object, value and remedy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Feast's, about what the user may write
        parts = compile_features(project_dir)
        learners, routers = compile_learners(load_project(project_dir), parts)
    return parts.plan(learners, routers)


def apply_plan(settings: Settings, plan: Plan) -> None:
    """Register with Feast, make the topics, and last store the plan, which is what the processes look for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        register(settings.project_dir, settings.feature_log_dir)
    ensure_topics(
        settings.kafka, plan, settings.replication, settings.event_partitions, settings.topic_partitions
    )
    PlanStore(settings.redis, plan.project).save(plan)


def describe_changes(settings: Settings, wanted: Plan) -> str:
    """What would change against the plan in force, one change a line."""
    try:
        current = PlanStore(settings.redis, wanted.project).load()
    except PlanError:  # none yet
        current = None
    return "\n".join(plan_diff(current, wanted)) or "nothing would change"
