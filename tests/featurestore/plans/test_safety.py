"""Which changes `headrace apply` refuses without a flag, and which it lets pass."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.plans.safety import UnsafeChange, unsafe_changes
from headrace.schemas.feature_specs import ColumnSpec, UdfSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec, OutcomeSpec, PolicySpec
from tests.support.carrier_repository import DEFINITIONS, ON_DEMAND
from tests.support.edits import Append, Replace
from tests.support.join_builders import a_router
from tests.support.repository_config import repository_config

LEARNER = LearnerSpec(name="logistic", service="delays", target="late", definition="abc")
ROUTER = a_router(
    1000,
    name="main",
    arms=("logistic",),
    champion="logistic",
    unit="carrier",
    entities=("carrier",),
    partitions=2,
)


def compiled(repo: Path) -> Plan:
    return compile_features(repo).plan([LEARNER], [ROUTER])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan in force: that of the repository as it is."""
    folder = tmp_path_factory.mktemp("repo")
    (folder / "features.py").write_text(DEFINITIONS)
    (folder / "feature_store.yaml").write_text(repository_config("safety"))
    return compiled(folder)


UNSAFE: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "a feature that a service and a learner read is removed": (
        '        Field(name="full_name", dtype=String),\n',
        "",
        "feature 'full_name'",
        ("service 'delays'", "learner 'logistic'", "router 'main'", "Take it out of these first"),
    ),
    "a feature is of another type": (
        'Field(name="fleet", dtype=Int32)',
        'Field(name="fleet", dtype=Int64)',
        "feature 'fleet'",
        ("dtype: Int32 -> Int64", "a name of its own"),
    ),
    "a feature that nobody reads is of another type": (
        'Field(name="share", dtype=Float32)',
        'Field(name="share", dtype=Float64)',
        "feature 'share'",
        ("Float32 -> Float64",),
    ),
    "the window of a feature is another": (
        'function="max", time_window=timedelta(days=1)',
        'function="max", time_window=timedelta(days=2), slide_interval=timedelta(days=1)',
        "feature 'seats_max_1d'",
        ("window: 1 day -> 2 days", "learner 'logistic'"),
    ),
    "the hop of a feature is another": (
        "slide_interval=timedelta(minutes=5)",
        "slide_interval=timedelta(minutes=10)",
        "feature 'n_1h'",
        ("hop: 0:05:00 -> 0:10:00",),
    ),
    "the function of a feature is another": (
        'function="max"',
        'function="min"',
        "feature 'seats_max_1d'",
        ("function: max -> min",),
    ),
    "the events come from another topic": (
        'topic="flights.departures"',
        'topic="flights"',
        "",
        ("topic: flights.departures -> flights",),
    ),
    "a service is removed": (
        'FeatureService(name="delays"',
        'FeatureService(name="delay"',
        "",
        ("clients ask for it", "'logistic'"),
    ),
    "a learner's feature is taken out of its service": (
        'airlines[["fleet", "full_name"]]',
        'airlines[["fleet"]]',
        "feature 'airlines:full_name'",
        ("learner 'logistic'", "second service"),
    ),
}


@pytest.mark.parametrize(("old", "new", "part", "said"), UNSAFE.values(), ids=UNSAFE.keys())
def test_it_is_unsafe_that(
    before: Plan, repo: Path, replace: Replace, old: str, new: str, part: str, said: tuple[str, ...]
) -> None:
    if part == "feature 'full_name'":
        replace('airlines[["fleet", "full_name"]]', 'airlines[["fleet"]]')
    replace(old, new)
    found = unsafe_changes(before, compile_features(repo).plan([LEARNER], [ROUTER]))
    (change,) = [c for c in found if c.part == part]
    for words in said:
        assert words in str(change)


SAFE = {
    "a view keeps its rows longer": ("ttl=timedelta(days=1)", "ttl=timedelta(days=2)"),
    "an unused feature is removed": ('        Field(name="founded", dtype=UnixTimestamp),\n', ""),
    "a feature is added": (
        'Field(name="alliance", dtype=Bool),',
        'Field(name="alliance", dtype=Bool), Field(name="hub", dtype=String),',
    ),
    "more lateness is allowed": ("timedelta(minutes=12)", "timedelta(minutes=30)"),
    "the events have one field more": (
        '{"name": "seats", "type": "long"},',
        '{"name": "seats", "type": "long"}, {"name": "gate", "type": "string", "default": ""},',
    ),
    "a service serves one feature more": (
        'airlines[["fleet", "full_name"]]',
        'airlines[["fleet", "full_name", "share"]]',
    ),
    "a view has an owner": ("ttl=timedelta(days=1)", 'ttl=timedelta(days=1), owner="ada"'),
}


@pytest.mark.parametrize(("old", "new"), SAFE.values(), ids=SAFE.keys())
def test_it_is_safe_that(before: Plan, repo: Path, replace: Replace, old: str, new: str) -> None:
    replace(old, new)
    assert unsafe_changes(before, compiled(repo)) == []


def test_nothing_is_unsafe_before_anything_is_in_force(before: Plan) -> None:
    assert unsafe_changes(None, before) == []


def test_another_entity_key_is_unsafe(before: Plan, repo: Path, replace: Replace) -> None:
    replace(
        'name="carrier_delays",\n    entities=[carrier]',
        'name="carrier_delays",\n    entities=[carrier, origin]',
    )
    (change,) = unsafe_changes(before, compiled(repo))
    assert "(carrier: String) becomes (carrier: String, origin: String)" in change.problem


def test_a_view_removed_with_the_service_that_reads_it_is_unsafe(before: Plan) -> None:
    after = before.model_copy(update={"services": (), "stream_views": (), "sources": ()})
    parts = {(change.kind, change.part) for change in unsafe_changes(before, after)}
    assert ("stream feature view", "feature 'n_1h'") in parts
    assert ("feature service", "") in parts


def test_a_feature_is_removed_safely_in_two_steps(repo: Path, replace: Replace) -> None:
    """Out of the service first, which no learner reads here, then out of the view."""
    first = compile_features(repo).plan()
    replace('airlines[["fleet", "full_name"]]', 'airlines[["fleet"]]')
    second = compile_features(repo).plan()
    replace('        Field(name="full_name", dtype=String),\n', "")
    third = compile_features(repo).plan()
    assert unsafe_changes(first, second) == unsafe_changes(second, third) == []
    assert unsafe_changes(first, third) != []


ROUTERS: dict[str, tuple[dict[str, Any], str]] = {
    "labels come from elsewhere": (
        {"outcome": OutcomeSpec(source="departures", key_field="carrier", label_field="late")},
        "outcome: none ->",
    ),
    "requests must bring more": ({"request": ("distance",)}, "requests must bring 'distance'"),
    "it predicts something else": ({"target": "cancelled"}, "target: late -> cancelled"),
}


@pytest.mark.parametrize(("changed", "said"), ROUTERS.values(), ids=ROUTERS.keys())
def test_of_a_router_it_is_unsafe_that(before: Plan, changed: dict[str, Any], said: str) -> None:
    after = before.model_copy(update={"routers": (ROUTER.model_copy(update=changed),)})
    (change,) = unsafe_changes(before, after)
    assert (change.kind, change.name) == ("router", "main")
    assert said in change.problem


def test_a_learner_with_another_target_and_a_router_that_is_gone_are_unsafe(before: Plan) -> None:
    other = LEARNER.model_copy(update={"target": "cancelled"})
    found: list[UnsafeChange] = unsafe_changes(
        before, before.model_copy(update={"learners": (other,), "routers": ()})
    )
    assert [(change.kind, change.name) for change in found] == [("learner", "logistic"), ("router", "main")]


def test_another_policy_or_another_model_is_safe(before: Plan) -> None:
    router = ROUTER.model_copy(update={"policy": PolicySpec(kind="epsilon_greedy"), "refresh_ms": 2000})
    learner = LEARNER.model_copy(update={"definition": "def"})
    assert (
        unsafe_changes(before, before.model_copy(update={"learners": (learner,), "routers": (router,)})) == []
    )


def test_the_remedy_of_a_changed_window_is_itself_safe(before: Plan, repo: Path, replace: Replace) -> None:
    replace(
        "    ],\n    tags=",
        '    Aggregation(column="seats", function="max", name="seats_max_2d",\n'
        "        time_window=timedelta(days=2))],\n    tags=",
    )
    replace(
        'Field(name="seats_max_1d", dtype=Int64),',
        'Field(name="seats_max_1d", dtype=Int64), Field(name="seats_max_2d", dtype=Int64),',
    )
    after = compiled(repo)
    assert after.stream_views[0].aggregations[-1].window_ms == timedelta(days=2) // timedelta(milliseconds=1)
    assert unsafe_changes(before, after) == []


def test_another_udf_is_unsafe(before: Plan) -> None:
    amount = ColumnSpec(name="seats", kind="long", nullable=False)

    def having(text: str, *inputs: ColumnSpec) -> Plan:
        udf = UdfSpec(source=text, inputs=inputs, outputs=())
        view = before.stream_views[0].model_copy(update={"udf": udf})
        return before.model_copy(update={"stream_views": (view,)})

    for old, new, said in (
        (before, having("a", amount), "udf: none -> ca978112ca1b of seats"),
        (having("a"), having("b"), "udf: text ca978112ca1b -> 3e23e8160039"),
        (having("a"), having("a", amount), "udf: takes nothing -> seats: long"),
    ):
        (change,) = unsafe_changes(old, new)
        assert (change.kind, change.name) == ("stream feature view", "carrier_delays")
        assert change.problem == f"{said}; all its features would mean something else"


OF_ON_DEMAND: dict[str, tuple[str, str, set[tuple[str, str]]]] = {
    "its function is another": ("< 10", "< 12", {("", "all its features would mean something else")}),
    "it asks for more": (
        'Field(name="row", dtype=Int64)',
        'Field(name="row", dtype=Int64), Field(name="cabin", dtype=String)',
        {("", "requests must bring 'cabin'")},
    ),
    "a feature is gone": (
        ', Field(name="in_front", dtype=Bool)',
        "",
        {("", "all its features"), ("feature 'in_front'", "it is removed, and in force service 'computed'")},
    ),
    "a feature is of another type": (
        'Field(name="per_plane", dtype=Float64)',
        'Field(name="per_plane", dtype=Float32)',
        {("", "all its features"), ("feature 'per_plane'", "dtype: Float64 -> Float32")},
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), OF_ON_DEMAND.values(), ids=OF_ON_DEMAND.keys())
def test_of_an_on_demand_view_it_is_unsafe_that(
    repo: Path, replace: Replace, append: Append, old: str, new: str, said: set[tuple[str, str]]
) -> None:
    append(ON_DEMAND)
    first = compile_features(repo).plan()
    replace(old, new)
    found = unsafe_changes(first, compile_features(repo).plan())
    assert {(change.kind, change.name) for change in found} == {("on demand feature view", "shares")}
    assert {change.part for change in found} == {part for part, _ in said}
    for part, words in said:
        assert any(change.part == part and words in change.problem for change in found)
    assert all("service 'computed' reads it" in change.problem for change in found)


@pytest.mark.parametrize(("old", "new", "_"), OF_ON_DEMAND.values(), ids=OF_ON_DEMAND.keys())
def test_an_on_demand_view_that_no_service_serves_may_change(
    repo: Path, replace: Replace, append: Append, old: str, new: str, _: object
) -> None:
    append(ON_DEMAND)
    replace('computed = FeatureService(name="computed", features=[shares])', "")
    first = compile_features(repo).plan()
    replace(old, new)
    assert unsafe_changes(first, compile_features(repo).plan()) == []


def test_a_feature_read_through_an_on_demand_view_is_not_removed(
    repo: Path, replace: Replace, append: Append
) -> None:
    """`fleet` is in no service that serves it by its own name."""
    replace('airlines[["fleet", "full_name"]]', 'airlines[["full_name"]]')
    append(ON_DEMAND)
    first = compile_features(repo).plan()
    replace('airlines[["fleet"]], ', "")
    replace('df["mean_1h"] / df["fleet"]', 'df["mean_1h"]')
    replace('        Field(name="fleet", dtype=Int32),\n', "")
    found = unsafe_changes(first, compile_features(repo).plan())
    (change,) = [change for change in found if change.name == "airlines"]
    assert (change.part, "service 'computed' reads it" in change.problem) == ("feature 'fleet'", True)


def test_a_stored_view_that_becomes_one_on_demand_is_unsafe(before: Plan, repo: Path, append: Append) -> None:
    append(ON_DEMAND)
    on_demand = compile_features(repo).plan().on_demand_views[0].model_copy(update={"name": "airlines"})
    after = before.model_copy(update={"batch_views": (), "on_demand_views": (on_demand,)})
    (change,) = unsafe_changes(before, after)
    assert change.problem == "it becomes an on demand feature view"


@pytest.mark.parametrize(
    ("name", "was", "becomes", "unsafe"),
    [("full_name", 3, 2, True), ("full_name", 3, 5, False), ("founded", 3, 0, False)],
)
def test_lists_that_learners_read_do_not_get_shorter(
    before: Plan, name: str, was: int, becomes: int, unsafe: bool
) -> None:
    """Longer ones are further inputs, as another feature of the service would be."""

    def with_list(length: int) -> Plan:
        (view,) = before.batch_views
        changed = {"dtype": "Array(String)", "length": length}
        features = tuple(f.model_copy(update=changed if f.name == name else {}) for f in view.features)
        return before.model_copy(update={"batch_views": (view.model_copy(update={"features": features}),)})

    told = [str(change) for change in unsafe_changes(with_list(was), with_list(becomes))]
    assert len(told) == unsafe
    assert not told or "length: 3 -> 2, and in force learner 'logistic'" in told[0]
