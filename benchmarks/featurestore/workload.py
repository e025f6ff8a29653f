"""Rows of one view of 20 features, and the stores that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType

from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import Plan

VIEW = "account_stats"
TYPES = (*("Float64",) * 12, *("Int64",) * 5, *("String",) * 2, "Bool")
FIELDS = tuple(FieldSpec(name=f"f{n:02}", dtype=dtype) for n, dtype in enumerate(TYPES))  # type: ignore[arg-type]
NAMES = [f"{VIEW}:{field.name}" for field in FIELDS]
AT_MS = 1_700_000_000_000
_PROTO = {"Float64": "double_val", "Int64": "int64_val", "String": "string_val", "Bool": "bool_val"}
_FEAST = {"Float64": Float64, "Int64": Int64, "String": String, "Bool": Bool}


@dataclass(frozen=True)
class Workload:
    """`rows` accounts, numbered from 0; a tenth of the values are null."""

    rows: int
    project: str

    @property
    def plan(self) -> Plan:
        key = FieldSpec(name="account", dtype="Int64")
        view = BatchViewSpec(name=VIEW, join_keys=(key,), features=FIELDS)
        return Plan(project=self.project, batch_views=(view,))

    @cached_property
    def columns(self) -> list[tuple[Any, np.ndarray]]:
        """Values and validity of each feature, as the online writer takes them."""
        random = np.random.default_rng(7)
        return [(_values(random, field.dtype, self.rows), random.random(self.rows) > 0.1) for field in FIELDS]

    @cached_property
    def expected(self) -> dict[str, list[Any]]:
        """What readers must give, by feature."""
        found = {}
        for field, (values, valid) in zip(FIELDS, self.columns, strict=True):
            plain = [v.decode() for v in values] if field.dtype == "String" else values.tolist()
            found[field.name] = [v if known else None for v, known in zip(plain, valid, strict=True)]
        return found

    def protos(self, rows: range) -> list[Any]:
        """Rows as Feast's online stores take them."""
        at, made = datetime.fromtimestamp(AT_MS / 1000, UTC), []
        for row in rows:
            values = {}
            for field in FIELDS:
                value = self.expected[field.name][row]
                values[field.name] = Value() if value is None else Value(**{_PROTO[field.dtype]: value})
            key = EntityKey(join_keys=["account"], entity_values=[Value(int64_val=row)])
            made.append((key, values, at, None))
        return made

    def feast_store(self, folder: Path, redis_url: str) -> FeatureStore:
        where = urlparse(redis_url)
        connection = f"{where.hostname}:{where.port},db={where.path.strip('/') or 0}"
        config = {
            "project": self.project,
            "registry": str(folder / "registry.db"),
            "provider": "local",
            "online_store": {"type": "redis", "connection_string": connection},
            "offline_store": {"type": "dask"},
            "entity_key_serialization_version": 3,
        }
        (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
        store = FeatureStore(repo_path=str(folder))
        account = Entity(name="account", value_type=ValueType.INT64)
        schema = [Field(name=field.name, dtype=_FEAST[field.dtype]) for field in FIELDS]
        source = FileSource(name="table", path=str(folder / "table.parquet"), timestamp_field="at")
        view = FeatureView(
            name=VIEW,
            entities=[account],
            schema=[Field(name="account", dtype=Int64), *schema],
            source=source,
        )
        store.apply([account, view])
        return store


def _values(random: np.random.Generator, dtype: str, rows: int) -> Any:
    if dtype == "Float64":
        return random.normal(100, 30, rows)
    if dtype == "Int64":
        return random.integers(0, 100_000, rows)
    if dtype == "Bool":
        return random.random(rows) < 0.5
    return [b"city-%d" % n for n in random.integers(0, 500, rows)]
