"""Repositories in the shape of public ones: where they are, their tables, and copies that tests run."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from feast.repo_operations import init_repo

from headrace.featurestore.feast_repo.config import CONFIG_FILE
from tests.support.feast_online import connection_string
from tests.support.paths import ROOT

SHAPES = ROOT / "tests" / "featurestore" / "shapes"
MANIFEST = "shape.json"
NAMES = sorted(file.parent.name for file in SHAPES.glob(f"*/{MANIFEST}"))
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A copy of a repository, with its tables.

    Attributes
    ----------
    repository
        The folder of its ``feature_store.yaml``.
    now
        What the hours of the manifest are counted from.
    asked
        Rows to ask for, of all services; with ``event_timestamp``.
    pushed, sent
        Rows by push source, and events by topic.
    feast_fails
        Services of which Feast makes no training set, with the name of its error.
    """

    repository: Path
    now: datetime
    asked: pa.Table
    pushed: dict[str, pa.Table]
    sent: dict[str, pa.Table]
    feast_fails: dict[str, str]


def copy_shape(name: str, folder: Path) -> Shape:
    """Copy a shape into a folder that is not there, unmodified, and write its tables.

    Of a template of Feast the installed Feast writes both.
    """
    manifest = json.loads((SHAPES / name / MANIFEST).read_text())
    if template := manifest.get("template"):
        with contextlib.chdir(folder.parent), contextlib.redirect_stdout(io.StringIO()):
            init_repo(folder.name, template)
    else:
        shutil.copytree(SHAPES / name, folder, ignore=shutil.ignore_patterns(MANIFEST, "__pycache__"))
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for path, columns in manifest["tables"].items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(columns, now), file)
    return Shape(
        folder / manifest.get("repository", ""),
        now,
        table(manifest["asked"], now),
        {source: table(columns, now) for source, columns in manifest.get("pushed", {}).items()},
        {topic: table(columns, now) for topic, columns in manifest.get("sent", {}).items()},
        manifest.get("feast_fails", {}),
    )


def table(columns: Columns, now: datetime) -> pa.Table:
    """A table of columns: values, or ``{type: values}`` such as hours from now."""
    return pa.table({name: _column(values, now) for name, values in columns.items()})


def _column(values: Any, now: datetime) -> pa.Array:
    if isinstance(values, list):
        return pa.array(values)
    ((kind, given),) = values.items()
    if kind == "hours":
        times = [None if hours is None else now + timedelta(hours=hours) for hours in given]
        return pa.array(times, pa.timestamp("us", "UTC"))
    if kind == "map":
        return pa.array([list(item.items()) for item in given], pa.map_(pa.string(), pa.string()))
    if kind == "struct":
        return pa.array(given)
    element = kind.removeprefix("list:")
    dtype = pa.type_for_alias(element)
    return pa.array(given, dtype if element == kind else pa.list_(dtype))


def adopt(shape: Shape, project: str, redis_url: str) -> None:
    """Give a copy a project and topics of its own, and the online store that `check` says to write."""
    file = shape.repository / CONFIG_FILE
    config = yaml.safe_load(file.read_text())
    for definitions in shape.repository.rglob("*.py"):
        text = definitions.read_text().replace(
            f'Project(name="{config["project"]}"', f'Project(name="{project}"'
        )
        for topic in shape.sent:
            text = text.replace(f'"{topic}"', f'"{project}.{topic}"')
        definitions.write_text(text)
    config["project"] = project
    config["online_store"] = {"type": "redis", "connection_string": connection_string(redis_url)}
    file.write_text(yaml.safe_dump(config))


def streams(name: str) -> bool:
    """Whether a shape has events, for which there has to be a Kafka."""
    return "sent" in json.loads((SHAPES / name / MANIFEST).read_text())
