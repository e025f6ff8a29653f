"""A small project: five learners behind one router, and made-up examples of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.learners.compile.plan import compile_learners
from headrace.learners.project import Project, load_project
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    AggregationSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Example, Prediction

HOUR_MS = 3_600_000
AVRO = """{"type": "record", "name": "Arrival", "fields": [
 {"name": "flight", "type": "string"}, {"name": "late", "type": "double"},
 {"name": "origin", "type": ["null", "string"]}, {"name": "distance", "type": "int"},
 {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"""

LEARNERS = """
from datetime import timedelta

from river import compose, dummy, linear_model, preprocessing, tree

from headrace import Learner, Outcome, Router, ThompsonSampling


def with_ratio(x):
    return {**x, "ratio": x.get("delays__mean", 0.0) / (1.0 + x["distance"])}


def logistic():
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def crossed():
    numbers = compose.SelectType(float, int) | compose.FuncTransformer(with_ratio)
    names = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return numbers | preprocessing.StandardScaler() | linear_model.LogisticRegression()


LEARNERS = [
    Learner("base", dummy.PriorClassifier, None, "late"),
    Learner("static", logistic, None, "late", request=["distance"]),
    Learner("streaming", logistic, "delays", "late", request=["distance"]),
    Learner("crossed", crossed, "delays", "late", request=["distance"]),
    Learner("tree", lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1, grace_period=50), "delays", "late",
            request=["distance", "origin"]),
]
delays = Router(
    name="delays", arms=[one.name for one in LEARNERS], champion="streaming", unit="flight",
    entities=["origin"], request=["distance", "flight"],
    outcome=Outcome("arrivals", key="flight", label="late"),
    wait=timedelta(hours=6), policy=ThompsonSampling(floor=0.02, discount=0.99), partitions=2,
)
"""


@dataclass(frozen=True)
class FeatureDefinitions:
    """What would come from the Feast repository."""

    sources: tuple[SourceSpec, ...] = ()
    stream_views: tuple[StreamViewSpec, ...] = ()
    batch_views: tuple[Any, ...] = ()
    on_demand_views: tuple[OnDemandViewSpec, ...] = ()
    services: tuple[FeatureServiceSpec, ...] = ()
    left_out: tuple[DefinitionError, ...] = ()


def feature_definitions(project: str = "p") -> FeatureDefinitions:
    features = ("mean", "count")
    return FeatureDefinitions(
        sources=(
            SourceSpec(
                name="arrivals", topic=f"{project}.arrivals", reader_schema=AVRO, writer_schemas={1: AVRO},
                timestamp_field="ts", tile_ms=60_000, late_tiles=10, max_future_ms=60_000, shards=0,
                key_field="origin",
            ),
        ),
        stream_views=(
            StreamViewSpec(
                name="delays", source="arrivals", join_keys=(FieldSpec(name="origin", dtype="String"),),
                aggregations=tuple(
                    AggregationSpec(
                        feature=name, function=name, column="late", window_ms=HOUR_MS, hop_ms=60_000,
                        dtype="Float64" if name == "mean" else "Int64",
                    )
                    for name in features
                ),
            ),
        ),
        services=(
            FeatureServiceSpec(
                name="delays", features=tuple(FeatureRef(view="delays", feature=name) for name in features)
            ),
        ),
    )  # fmt: skip


def flights(folder: Path, project: str = "p", text: str = LEARNERS) -> tuple[Plan, Project]:
    """The compiled plan and the loaded project."""
    (folder / "learners.py").write_text(text)
    loaded = load_project(folder)
    definitions = feature_definitions(project)
    learners, routers = compile_learners(loaded, definitions)
    parts = {name: getattr(definitions, name) for name in ("sources", "stream_views", "services")}
    return Plan(project=project, learners=learners, routers=routers, **parts), loaded


def prediction(
    plan: Plan, number: int, source: random.Random, scores: Mapping[str, float] = {}
) -> Prediction:
    router = plan.routers[0]
    vector = {arm: 1.0 / len(router.arms) for arm in router.arms}
    return Prediction(
        prediction_id=f"p{number}", router=router.name, key=f"f{number}", unit=f"f{number}",
        ts_ms=1_000_000 + number * 60_000,
        entities={"origin": source.choice(["EWR", "JFK", "LGA"])},
        request={"distance": source.randrange(100, 2500), "flight": f"f{number}"},
        features={
            "delays__mean": None if source.random() < 0.1 else source.gauss(10.0, 5.0),
            "delays__count": source.randrange(20),
        },
        provenance={}, scores={arm: scores.get(arm) for arm in router.arms},
        versions=dict.fromkeys(router.arms, "1.0"), epoch=0, propensities=vector,
        chosen=source.choice(router.arms), propensity=1.0 / len(router.arms), plan_hash=plan.hash,
    )  # fmt: skip


def examples(plan: Plan, count: int, seed: int = 1) -> Iterator[Example]:
    """Examples whose label follows from the mean delay, with noise."""
    source = random.Random(seed)
    for number in range(count):
        asked = prediction(plan, number, source)
        mean = float(asked.features["delays__mean"] or 10.0)
        label = float(source.random() < 1.0 / (1.0 + 2.718281828 ** (10.0 - mean)))
        yield Example(
            example_id=asked.prediction_id, prediction=asked, label=label, label_ts_ms=asked.ts_ms + HOUR_MS
        )


def closings(plan: Plan, count: int, quality: Mapping[str, float], seed: int = 1) -> Iterator[Closing]:
    """Closings in which an arm gives the right label the probability `quality`."""
    source = random.Random(seed)
    for number in range(count):
        label = float(source.random() < 0.3)
        scores = {arm: good if label else 1.0 - good for arm, good in quality.items()}
        asked = prediction(plan, number, source, scores)
        yield Closing(prediction=asked, status="matched", label=label, label_ts_ms=asked.ts_ms + HOUR_MS)
