"""What `headrace lineage` finds out: sources, transformations, services, learners and versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.lineage import FeatureLineage, LearnerUse, Lineage, ModelVersions, VersionSpan
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.versions import PublishedVersion
from headrace.schemas.errors import UnknownNameError
from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    ColumnSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    StreamViewSpec,
    UdfSpec,
)
from headrace.schemas.plan import DescriptionSpec, Plan
from headrace.schemas.router_specs import LearnerSpec
from headrace.schemas.topics import ProjectTopics
from headrace.streams.log.producer import LogProducer
from tests.support.purchases import purchases_plan

KEY = (FieldSpec(name="user", dtype="Int64"),)
HOUR_MS = 3_600_000


@pytest.fixture
def broker(project: str) -> Iterator[MockKafka]:
    broker = MockKafka({ProjectTopics(project).models: 1})
    yield broker
    broker.close()


@pytest.fixture
def first(project: str) -> Plan:
    """A learner that reads one feature of two, and nobody who reads the third."""
    source = purchases_plan(project).sources[0]
    spent = AggregationSpec(
        feature="spent", function="sum", column="items", window_ms=HOUR_MS, hop_ms=HOUR_MS // 4, dtype="Int64"
    )
    visits = spent.model_copy(update={"feature": "visits", "function": "count"})
    stream = StreamViewSpec(name="shopping", source=source.name, join_keys=KEY, aggregations=(spent, visits))
    age = FieldSpec(name="age", dtype="Int64")
    refs = (FeatureRef(view="shopping", feature="spent"), FeatureRef(view="shopping", feature="visits"))
    return Plan(
        project=project,
        sources=(source,),
        stream_views=(stream,),
        batch_views=(BatchViewSpec(name="profile", join_keys=KEY, features=(age,), table="people"),),
        services=(
            FeatureServiceSpec(name="both", features=refs),
            FeatureServiceSpec(name="one", features=refs[:1]),
        ),
        learners=(LearnerSpec(name="tree", service="one", target="bought", definition="d1"),),
        descriptions=(
            DescriptionSpec(kind="stream feature view", name="shopping", owner="ada"),
            DescriptionSpec(
                kind="feature", name="shopping:spent", description="in an hour", tags={"pii": "no"}
            ),
        ),
    )


@pytest.fixture
def second(first: Plan) -> Plan:
    """Later the learner reads both."""
    learner = LearnerSpec(name="tree", service="both", target="bought", definition="d2")
    return first.model_copy(update={"learners": (learner,)})


def published(learner: str, version: str, plan_hash: str) -> PublishedVersion:
    major, minor = map(int, version.split("."))
    return PublishedVersion(
        name=learner, major=major, minor=minor, parent=None, offset=1, examples=1, first_ms=1, last_ms=2,
        mark_ms=None, definition="d", plan_hash=plan_hash, libraries={}, created_ms=3, metrics={}, digest="",
    )  # fmt: skip


@pytest.fixture
def versions(first: Plan, second: Plan) -> list[PublishedVersion]:
    """Two under the first plan, two under the second, one under a plan that nobody knows."""
    plans = {"1.0": first.hash, "1.1": first.hash, "2.0": second.hash, "2.1": second.hash, "3.0": "lost"}
    return [published("tree", version, plan_hash) for version, plan_hash in plans.items()]


@pytest.fixture
def lineage(first: Plan, second: Plan, versions: list[PublishedVersion], redis_url: str) -> Lineage:
    with redis.Redis.from_url(redis_url) as client:
        for plan in (first, second):
            PlanStore(client, plan.project).save(plan)
        pointers = ModelPointers(client, second.project)
        pointers.point("examples", {"tree": ModelPointer("2.1", 10)})
        return Lineage(second, ModelVersions(client, second.project, versions))


def one(lineage: Lineage, name: str) -> FeatureLineage:
    (found,) = lineage.find(name)
    return found


def test_sources_transformations_and_services_of_a_stream_feature(lineage: Lineage, project: str) -> None:
    found = one(lineage, "shopping:spent")
    assert (found.dtype, found.entities, found.owner) == ("Int64", ("user",), "ada")
    assert (found.description, found.tags) == ("in an hour", {"pii": "no"})
    assert found.sources == (f"topic {project}.purchases, field items",)
    assert found.transformations == ("sum of items over 1:00:00 every 0:15:00",)
    assert found.services == ("both", "one")


def test_learners_and_the_versions_that_were_made_to_read_it(lineage: Lineage) -> None:
    use = LearnerUse(
        learner="tree", in_force=True, routers=(), versions=(VersionSpan("1.0", "2.1", 4),),
        otherwise=(), unknown=(VersionSpan("3.0", "3.0", 1),), serving="2.1",
    )  # fmt: skip
    assert one(lineage, "shopping:spent").learners == (use,)
    later = one(lineage, "shopping:visits").learners[0]
    assert later.versions == (VersionSpan("2.0", "2.1", 2),)


def test_versions_that_read_it_by_another_definition_are_told(
    lineage: Lineage, second: Plan, versions: list[PublishedVersion], redis_url: str
) -> None:
    """Another feature of the view, and what is only counted, change nothing of this one."""
    spent, visits = second.stream_views[0].aggregations
    doubled = (spent.model_copy(update={"window_ms": 2 * HOUR_MS}), visits)
    view = second.stream_views[0].model_copy(update={"aggregations": doubled})
    later = second.model_copy(update={"stream_views": (view,)})
    with redis.Redis.from_url(redis_url) as client:
        PlanStore(client, later.project).save(later)
        more = [*versions, published("tree", "4.0", later.hash)]
        found = Lineage(later, ModelVersions(client, later.project, more))
    (use,) = one(found, "shopping:spent").learners
    assert use.versions == (VersionSpan("1.0", "2.1", 4), VersionSpan("4.0", "4.0", 1))
    assert use.otherwise == (VersionSpan("1.0", "2.1", 4),)
    assert one(found, "shopping:visits").learners[0].otherwise == ()


def test_a_feature_in_no_service_is_unused(lineage: Lineage) -> None:
    assert [found.name for found in lineage.all() if found.is_unused] == ["profile:age"]
    age = one(lineage, "age")
    assert age.sources == ("table people, column age",)
    assert age.learners == ()


def test_a_learner_that_reads_it_no_more_is_told_with_its_versions(
    lineage: Lineage, first: Plan, versions: list[PublishedVersion], redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        back = Lineage(first, ModelVersions(client, first.project, versions))
        (use,) = one(back, "shopping:visits").learners
    assert (use.in_force, use.versions) == (False, (VersionSpan("2.0", "2.1", 2),))


def computing(plan: Plan, *services: FeatureServiceSpec) -> Plan:
    """With a view on demand of two stored features, one of them of the batch view."""
    inputs = (FeatureRef(view="shopping", feature="spent"), FeatureRef(view="profile", feature="age"))
    view = OnDemandViewSpec(
        name="ratios", mode="pandas", inputs=inputs, request=(FieldSpec(name="price", dtype="Float64"),),
        features=(FieldSpec(name="per_year", dtype="Float64"),), file="features.py",
        definition="0123456789abcdef",
    )  # fmt: skip
    said = DescriptionSpec(kind="on demand feature view", name="ratios", owner="eve")
    return plan.model_copy(
        update={
            "on_demand_views": (view,),
            "services": (*plan.services, *services),
            "descriptions": (*plan.descriptions, said),
        }
    )


RATIOS = FeatureServiceSpec(name="ratios", features=(FeatureRef(view="ratios", feature="per_year"),))


def lineage_of(plan: Plan, redis_url: str, *versions: PublishedVersion) -> Lineage:
    with redis.Redis.from_url(redis_url) as client:
        return Lineage(plan, ModelVersions(client, plan.project, versions))


def test_what_is_computed_on_demand_comes_from_its_inputs_and_the_request(
    first: Plan, redis_url: str, project: str
) -> None:
    found = one(lineage_of(computing(first, RATIOS), redis_url), "ratios:per_year")
    assert (found.entities, found.owner, found.services) == (("user",), "eve", ("ratios",))
    assert found.sources == (
        f"topic {project}.purchases, field items",
        "table people, column age",
        "request, field price",
    )
    assert found.transformations == (
        "shopping:spent: sum of items over 1:00:00 every 0:15:00",
        "profile:age: the latest row of the entity, by `headrace materialize`",
        "on demand by ratios of features.py, pandas, definition 0123456789ab, when it is asked for",
    )


def test_a_feature_read_through_an_on_demand_view_is_used(first: Plan, redis_url: str) -> None:
    served = one(lineage_of(computing(first, RATIOS), redis_url), "profile:age")
    assert (served.is_unused, served.services, served.on_demand) == (False, ("ratios",), ("ratios",))
    alone = lineage_of(computing(first), redis_url)
    assert [found.name for found in alone.all() if found.is_unused] == ["profile:age", "ratios:per_year"]


def test_a_version_of_a_learner_read_what_its_on_demand_features_took(first: Plan, redis_url: str) -> None:
    learner = LearnerSpec(name="line", service="ratios", target="bought", definition="d1")
    plan = computing(first, RATIOS).model_copy(update={"learners": (learner,)})
    with redis.Redis.from_url(redis_url) as client:
        PlanStore(client, plan.project).save(plan)
    found = lineage_of(first, redis_url, published("line", "1.0", plan.hash))
    (use,) = one(found, "profile:age").learners
    assert (use.learner, use.in_force, use.versions) == ("line", False, (VersionSpan("1.0", "1.0", 1),))


def test_the_udf_of_a_stream_view_is_a_transformation(first: Plan, redis_url: str, project: str) -> None:
    items, amount = (ColumnSpec(name=name, kind="long") for name in ("items", "amount"))
    udf = UdfSpec(source="a", inputs=(amount, items), outputs=(items,))
    view = first.stream_views[0].model_copy(update={"udf": udf})
    plan = first.model_copy(update={"stream_views": (view,)})
    found = one(lineage_of(plan, redis_url), "shopping:spent")
    assert found.sources == (f"topic {project}.purchases, fields amount, items",)
    assert found.transformations == (
        "udf of shopping, text ca978112ca1b, gives items",
        "sum of items over 1:00:00 every 0:15:00",
    )


@pytest.mark.parametrize("name", ["shopping:spent", "shopping__spent", "spent"])
def test_a_feature_is_found_by_any_of_its_names(lineage: Lineage, name: str) -> None:
    assert one(lineage, name).name == "shopping:spent"


def test_a_view_stands_for_all_its_features(lineage: Lineage) -> None:
    assert [found.name for found in lineage.find("shopping")] == ["shopping:spent", "shopping:visits"]


@pytest.mark.parametrize(("name", "near"), [("shoping:spent", "shopping:spent"), ("visit", "visits")])
def test_an_unknown_name_is_told_with_the_nearest(lineage: Lineage, name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
        lineage.find(name)


def test_the_command_tells_it_as_text_and_as_json(
    lineage: Lineage,
    versions: list[PublishedVersion],
    project: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broker: MockKafka,
) -> None:
    topic, producer = ProjectTopics(project).models, LogProducer(broker.bootstrap)
    for version in versions:
        producer.send(topic, 0, None, version.encode())
    producer.flush_blocking()
    monkeypatch.setenv("HEADRACE_KAFKA", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    monkeypatch.setenv("HEADRACE_PROJECT", project)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))

    def told(*words: str) -> str:
        command = ["lineage", *words]
        return CliRunner().invoke(app, command, catch_exceptions=False).output

    assert told("spent", str(tmp_path)).splitlines() == [
        "shopping:spent: Int64 per user",
        "    in an hour",
        "    owner       ada",
        "    tag pii     no",
        f"    from        topic {project}.purchases, field items",
        "    computed    sum of items over 1:00:00 every 0:15:00",
        "    in service  both",
        "    in service  one",
        "    read by     learner tree, versions 1.0 to 2.1 (4), serving 2.1, not known of versions 3.0",
    ]
    assert told("all", str(tmp_path), "--unused").splitlines()[-1] == "    unused: in no feature service"
    everything = json.loads(told("all", str(tmp_path), "--json"))
    assert [(found["name"], found["unused"]) for found in everything] == [
        ("shopping:spent", False),
        ("shopping:visits", False),
        ("profile:age", True),
    ]
    assert everything[0]["learners"][0]["versions"] == [{"first": "1.0", "last": "2.1", "count": 4}]


def test_the_command_names_udfs_and_on_demand_views(
    first: Plan,
    project: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broker: MockKafka,
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    monkeypatch.setenv("HEADRACE_PROJECT", project)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    items = ColumnSpec(name="items", kind="long")
    view = first.stream_views[0].model_copy(
        update={"udf": UdfSpec(source="a", inputs=(items,), outputs=(items,))}
    )
    with redis.Redis.from_url(redis_url) as client:
        plan = computing(first, RATIOS).model_copy(update={"stream_views": (view,)})
        PlanStore(client, project).save(plan)
    command = ["lineage", "all", str(tmp_path)]
    told = CliRunner().invoke(app, command, catch_exceptions=False).output.splitlines()
    assert "ratios:per_year: Float64 per user" in told
    assert told.count("    taken by    on demand feature view ratios") == 2
    assert told.count("    computed    udf of shopping, text ca978112ca1b, gives items") == 2
    assert "    computed    shopping:spent: udf of shopping, text ca978112ca1b, gives items" in told
