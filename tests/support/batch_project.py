"""A project of batch views alone: it needs Redis, and no Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_CONFIG = """project: {project}
provider: local
registry: data/registry.db
online_store:
  type: redis
  connection_string: "127.0.0.1:6379"
offline_store:
  type: dask
entity_key_serialization_version: 3
"""
_HEAD = """from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Int64
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
TABLE = str(Path(__file__).resolve().parent / "data" / "ages.parquet")
"""
_VIEW = """
{name} = FeatureView(
    name="{name}",
    entities=[user],
    source=FileSource(name="table_of_{name}", path=TABLE, timestamp_field="event_timestamp"),
    schema=[Field(name="age", dtype=Int64)],
    ttl=timedelta(0),
)
"""


def batch_project(folder: Path, project: str) -> Path:
    """Write one with the view `ages`, and return its folder."""
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(_CONFIG.format(project=project))
    (folder / "features.py").write_text(_HEAD + _VIEW.format(name="ages"))
    (folder / "learners.py").write_text("learners = []\n")
    write_ages(folder, {"ada": 36, "bob": 41})
    return folder


def write_ages(folder: Path, ages: dict[str, int]) -> None:
    """Write the table; its rows are of now."""
    times = [datetime.now(UTC)] * len(ages)
    columns = {"user": list(ages), "age": list(ages.values()), "event_timestamp": times}
    pq.write_table(pa.table(columns), folder / "data" / "ages.parquet")


def add_view(folder: Path) -> None:
    """Add the view `more_ages`, of the same table."""
    with (folder / "features.py").open("a") as file:
        file.write(_VIEW.format(name="more_ages"))
