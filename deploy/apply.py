"""`headrace plan` and `headrace apply`: from a repository to a registered, stored plan with its topics."""

from __future__ import annotations

from pathlib import Path

import redis

from deploy.settings import Settings
from deploy.topics_admin import ensure_topics
from featurestore.plan_store import PlanStore
from featurestore.repository import compile_features, register
from learners.compile import compile_learners
from learners.project import load_project
from schemas.plan import Plan


def compile_plan(project_dir: Path) -> Plan:
    """Read and validate a repository with its ``learners.py``. Nothing is written.

    Raises
    ------
    DefinitionError
        Names file, object, value and remedy.
    """
    parts = compile_features(project_dir)
    learners, routers = compile_learners(load_project(project_dir), parts)
    return parts.plan(learners, routers)


def apply_plan(settings: Settings, plan: Plan) -> None:
    """Register with Feast, make the topics, and last store the plan, which is what the processes look for."""
    register(settings.project_dir)
    ensure_topics(settings.kafka, plan, settings.replication, settings.event_partitions)
    client = redis.Redis.from_url(settings.redis)
    try:
        PlanStore(client, plan.project).save(plan)
    finally:
        client.close()
