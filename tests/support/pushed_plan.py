"""A plan with a push source that feeds two views, and rows for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import OnlineStoreSpec, Plan
from headrace.schemas.push_specs import PushSourceSpec

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
USER, PLACE = FieldSpec(name="user", dtype="Int64"), FieldSpec(name="place", dtype="String")
SCORE, NAME = FieldSpec(name="score", dtype="Float64"), FieldSpec(name="name", dtype="String")
FEATURES = ["users:score", "users:name", "places:score"]


def pushed_plan(project: str, ttl_s: int = 0) -> Plan:
    """Columns ``user``, ``place``, ``points`` (or ``score``), ``name`` and ``at``."""
    return Plan(
        project=project,
        batch_views=(
            BatchViewSpec(name="users", join_keys=(USER,), features=(SCORE, NAME)),
            BatchViewSpec(name="places", join_keys=(PLACE, USER), features=(SCORE,)),
            BatchViewSpec(name="tables", join_keys=(USER,), features=(SCORE,)),
        ),
        push_sources=(
            PushSourceSpec(
                name="scores",
                timestamp_field="at",
                views=("places", "users"),
                field_mapping=(("points", "score"),),
            ),
        ),
        online=OnlineStoreSpec(key_ttl_s=ttl_s),
    )


def row(**values: Any) -> dict[str, Any]:
    """A row that is taken, but for these values."""
    return {"user": 1, "place": "a", "points": 0.5, "name": "ada", "at": NOON} | values
