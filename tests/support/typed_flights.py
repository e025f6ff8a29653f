"""Flights whose arrivals have minutes and a reason: projects of a number and of a category."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

from headrace.learners.compile.plan import compile_learners
from headrace.learners.project import Project, load_project
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from tests.support.flight_learners import FeatureDefinitions

CLASSES = ("carrier", "weather", "security")
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Arrival",
        "fields": [
            {"name": "flight", "type": "string"},
            {"name": "late", "type": ["null", "boolean"]},
            {"name": "minutes", "type": ["null", "double"]},
            {"name": "reason", "type": ["null", "string"]},
            {"name": "code", "type": ["null", "int"]},
            {"name": "at", "type": "long"},
        ],
    }
)
TARGETS = {
    "binary": 'Target("late")',
    "number": 'Target("minutes", kind="number", low=-120, high=2000)',
    "category": f'Target("reason", kind="category", classes={CLASSES})',
}
MODELS = {
    "binary": ("dummy.PriorClassifier()", "naive_bayes.GaussianNB()"),
    "number": (
        "dummy.StatisticRegressor(stats.Mean())",
        "preprocessing.StandardScaler() | linear_model.LinearRegression()",
    ),
    "category": ("dummy.PriorClassifier()", "naive_bayes.GaussianNB()"),
}
FIELDS = {"binary": "late", "number": "minutes", "category": "reason"}
PROJECT = """
from datetime import timedelta

from river import dummy, linear_model, multiclass, naive_bayes, preprocessing, stats

from headrace import FixedSplit, Learner, Outcome, Router, Target, ThompsonSampling


def base():
    return {base}


def live():
    return {live}


target = {target}
LEARNERS = [Learner("base", base, None, target), Learner("live", live, None, target, request=["distance"])]
delays = Router(
    name="delays", arms=["base", "live"], champion="base", unit="flight", entities=[],
    request=["distance", "flight"], outcome=Outcome("arrivals", key="flight", label="{field}"),
    wait=timedelta(seconds=10), refresh=timedelta(seconds=10), publish=timedelta(seconds=10),
    partitions=1{more},
)
"""


def text_of(
    kind: str, target: str = "", base: str = "", live: str = "", field: str = "", more: str = ""
) -> str:
    """The text of a `learners.py` for a kind of target; what is given replaces a part of it."""
    return PROJECT.format(
        target=target or TARGETS[kind],
        base=base or MODELS[kind][0],
        live=live or MODELS[kind][1],
        field=field or FIELDS[kind],
        more=f", {more}" if more else "",
    )


def arrivals(project: str, format: Literal["avro", "json"] = "avro") -> SourceSpec:
    """The event topic of labels."""
    return SourceSpec(
        name="arrivals", topic=f"{project}.arrivals", format=format, reader_schema=SCHEMA,
        writer_schemas={1: SCHEMA} if format == "avro" else {}, timestamp_field="at", tile_ms=60_000,
        late_tiles=10, max_future_ms=60_000, shards=0, key_field="flight",
    )  # fmt: skip


def typed_flights(folder: Path, text: str, project: str = "p") -> tuple[Plan, Project]:
    """The compiled plan and the loaded project."""
    (folder / "learners.py").write_text(text)
    loaded = load_project(folder)
    definitions = replace(FeatureDefinitions(), sources=(arrivals(project),))
    learners, routers = compile_learners(loaded, definitions)
    return Plan(project=project, sources=definitions.sources, learners=learners, routers=routers), loaded
