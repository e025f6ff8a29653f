"""A Feast feature store with views of every type, and the plan that says the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.repo_config import RepoConfig
from feast.types import Int64, String
from feast.value_type import ValueType as FeastValueType

from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.definition import field_specs
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, FeatureServiceSpec, FieldSpec
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from tests.support.feature_values import TYPES, feast_type

FEATURES = field_specs((re.sub(r"\W+", "_", f"f_{dtype}").strip("_").lower(), dtype) for dtype in TYPES)
USER = FieldSpec(name="user", dtype="Int64")
PLACE = FieldSpec(name="place", dtype="String")
KEYS = {"by_user": (USER,), "by_place": (PLACE,), "by_both": (PLACE, USER)}  # sorted by name


Hashes = dict[bytes, dict[bytes, bytes]]  # of Redis, by key


@dataclass(frozen=True)
class FeastOnline:
    store: FeatureStore
    plan: Plan


def connection_string(redis_url: str) -> str:
    """Feast's way to write a Redis URL."""
    url = urlparse(redis_url)
    return f"{url.hostname}:{url.port},db={url.path.strip('/') or 0}"


def point_to(redis_url: str, repo: Path) -> None:
    """The repository of the tests has this Redis for its online store."""
    config = repo / "feature_store.yaml"
    config.write_text(config.read_text().replace("127.0.0.1:1", connection_string(redis_url)))


def take_hashes(redis_url: str, project: str) -> Hashes:
    """Every hash of the project, which is deleted."""
    with redis.Redis.from_url(redis_url) as connection:
        keys = list(connection.scan_iter(b"*" + project.encode(), count=10_000))
        found: Hashes = {key: connection.hgetall(key) for key in keys}
        if keys:
            connection.delete(*keys)
    return found


def taken_from_both(repo: Path, redis_url: str, view: str) -> tuple[Hashes, Hashes]:
    """What `materialize` stores of a view, and what Feast's own does."""
    register(repo)
    plan = compile_features(repo).plan()
    written = materialize(repo, plan, redis_url)
    ours = take_hashes(redis_url, plan.project)
    assert written == {view: len(ours)}
    since, until = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    FeatureStore(repo_path=str(repo)).materialize(since, until, feature_views=[view])
    return ours, take_hashes(redis_url, plan.project)


def feast_online(
    folder: Path, redis_url: str, project: str, ttl_ms: int = 0, pushed: bool = False
) -> FeastOnline:
    """A store whose views are registered, without any rows; on push sources where rows are pushed."""
    config = RepoConfig(
        project=project,
        registry=str(folder / "registry.db"),
        provider="local",
        online_store={"type": "redis", "connection_string": connection_string(redis_url)},
        offline_store="dask",
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entities = {
        "user": Entity(name="user", value_type=FeastValueType.INT64),
        "place": Entity(name="place", value_type=FeastValueType.STRING),
    }
    types = {"user": Int64, "place": String}
    views = [
        FeatureView(
            name=name,
            entities=[entities[key.name] for key in reversed(keys)],
            schema=[Field(name=key.name, dtype=types[key.name]) for key in keys]
            + [
                Field(name=f.name, dtype=dtype)
                for f, dtype in zip(FEATURES, map(feast_type, TYPES), strict=True)
            ],
            source=_source(folder, name, pushed),
        )
        for name, keys in KEYS.items()
    ]
    store.apply([*entities.values(), *views])
    return FeastOnline(store, plan(project, ttl_ms, pushed))


def _source(folder: Path, name: str, pushed: bool) -> FileSource | PushSource:
    table = FileSource(name=f"{name}_table", path=str(folder / name), timestamp_field="at")
    return PushSource(name=f"{name}_pushes", batch_source=table) if pushed else table


def plan(project: str, ttl_ms: int = 0, pushed: bool = False) -> Plan:
    """The same views as batch views of a plan, and a service of all their features."""
    refs = [FeatureRef(view=view, feature=feature.name) for view in KEYS for feature in FEATURES]
    return Plan(
        project=project,
        batch_views=tuple(
            BatchViewSpec(name=name, join_keys=keys, features=FEATURES, ttl_ms=ttl_ms)
            for name, keys in KEYS.items()
        ),
        push_sources=tuple(
            PushSourceSpec(name=f"{name}_pushes", timestamp_field="at", views=(name,))
            for name in KEYS
            if pushed
        ),
        services=(FeatureServiceSpec(name="everything", features=tuple(refs)),),
    )
