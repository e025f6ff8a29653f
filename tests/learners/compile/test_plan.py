"""Definitions compile into the plan, and what cannot work is refused with a way out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.learners.compile.features import Features
from headrace.learners.compile.plan import compile_learners
from headrace.learners.models.input_kinds import request_kind
from headrace.learners.models.inputs import Inputs
from headrace.learners.project import load_project
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
)
from headrace.schemas.plan import Plan
from tests.support.flight_learners import LEARNERS, FeatureDefinitions, feature_definitions, flights


def test_learners_and_routers_become_parts_of_the_plan(tmp_path: Path) -> None:
    plan, _ = flights(tmp_path)
    router = plan.router("delays")
    assert router.arms == ("base", "static", "streaming", "crossed", "tree")
    assert (router.target, router.wait_ms, router.publish_ms) == ("late", 6 * 3_600_000, 3_600_000)
    assert router.outcome is not None
    assert router.outcome.key_field == "flight"
    assert router.policy.discount == 0.99
    assert plan.learner("tree").request == ("distance", "origin")
    assert [ref.full_name for ref in plan.router_features(router)] == ["delays__mean", "delays__count"]


def test_the_same_file_compiles_to_the_same_plan(tmp_path: Path) -> None:
    first, _ = flights(tmp_path)
    second, _ = flights(tmp_path)
    assert first.hash == second.hash


@pytest.mark.parametrize(
    ("change", "to", "told"),
    [
        ('"delays", "late", request=["distance"]', '"delay", "late", request=["distance"]',
         "feature service 'delay' does not exist. Use one of: delays"),
        ('champion="streaming"', 'champion="best"', "champion 'best' does not exist"),
        ('Outcome("arrivals"', 'Outcome("landings"', "outcome source 'landings' does not exist"),
        ('key="flight"', 'key="tail"', "outcome key field 'tail' does not exist"),
        ('label="late"', 'label="delay"', "outcome label field 'delay' does not exist"),
        ('Learner("static", logistic', 'Learner("base", logistic', "2 learners have this name"),
        ('PriorClassifier, None, "late"', 'PriorClassifier, None, "early"', "different targets"),
        ("dummy.PriorClassifier", "lambda: 1 / 0", "its model factory raised ZeroDivisionError"),
        ("dummy.PriorClassifier", "lambda: 42", "returned 42, which cannot learn and predict"),
        ("dummy.PriorClassifier", "lambda: dummy.PriorClassifier", "which cannot learn and predict"),
        ("FuncTransformer(with_ratio)", "FuncTransformer(lambda x: x)", "its model cannot be saved"),
        ("seed=1, ", "", "Pass `seed=`"),
        ("floor=0.02", "floor=0.3", "`floor` 0.3 times 5 arms is 1.5"),
        ("discount=0.99", "discount=0", "`discount` is 0"),
        ("wait=timedelta(hours=6)", "wait=timedelta()", "`wait` is 0:00:00"),
        ("policy=ThompsonSampling(floor=0.02, discount=0.99)",
         'policy=__import__("headrace").FixedSplit({"base": 0.5, "tree": 0.4})', "sum to 0.9"),
        ("policy=ThompsonSampling(floor=0.02, discount=0.99)",
         'policy=__import__("headrace").EpsilonGreedy(2.0)', "`epsilon` is 2"),
        ('unit="flight"', 'unit="tail"', "unit 'tail' does not exist"),
        ('request=["distance", "flight"]', 'request=["flight"]', "reads the request feature 'distance'"),
        ('entities=["origin"]', 'entities=["flight"]', "its join key 'origin' is not in `entities`"),
        ("partitions=2", "partitions=0", "`partitions` is 0"),
        ('name="delays"', 'name="my delays"', "Use letters, digits"),
        ("arms=[one.name for one in LEARNERS]", "arms=[]", "it has no arms"),
        ("from datetime import timedelta", "import nowhere", "ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_remedy(tmp_path: Path, change: str, to: str, told: str) -> None:
    assert change in LEARNERS
    with pytest.raises(DefinitionError) as caught:
        flights(tmp_path, text=LEARNERS.replace(change, to))
    assert told in str(caught.value)
    assert caught.value.file.endswith("learners.py")


def with_batch_feature(dtype: Any, length: int, *more: str) -> FeatureDefinitions:
    """The service has features of a table besides: one of this type, and numbers."""
    definitions = feature_definitions()
    fields = [FieldSpec(name="seen", dtype=dtype, length=length)]
    fields += [FieldSpec(name=name, dtype="Float64") for name in more]
    key = FieldSpec(name="origin", dtype="String")
    view = BatchViewSpec(name="airports", join_keys=(key,), features=tuple(fields))
    refs = tuple(FeatureRef(view="airports", feature=field.name) for field in fields)
    (service,) = definitions.services
    service = service.model_copy(update={"features": (*service.features, *refs)})
    return replace(definitions, batch_views=(view,), services=(service,))


def test_a_learner_reads_the_elements_of_lists(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    definitions = with_batch_feature("Array(String)", 2)
    (view,) = definitions.stream_views
    mean, count = view.aggregations
    last = mean.model_copy(update={"function": "last_3", "dtype": "Array(Float64)"})
    definitions = replace(
        definitions, stream_views=(view.model_copy(update={"aggregations": (last, count)}),)
    )
    learners, routers = compile_learners(load_project(tmp_path), definitions)
    parts = {
        name: getattr(definitions, name) for name in ("sources", "stream_views", "batch_views", "services")
    }
    plan = Plan(project="p", learners=learners, routers=routers, **parts)
    names = (
        "delays__mean__0",
        "delays__mean__1",
        "delays__mean__2",
        "airports__seen__0",
        "airports__seen__1",
    )
    served = dict.fromkeys(names[:3], 4.5) | dict.fromkeys(names[3:], "EWR") | {"airports__seen__2": "JFK"}
    x = Inputs(plan, plan.learner("streaming")).select(served, {"distance": 3}, {})
    assert x == {name: served[name] for name in names} | {"distance": 3}
    longer = with_batch_feature("Array(String)", 3)
    others, _ = compile_learners(
        load_project(tmp_path), replace(longer, stream_views=definitions.stream_views)
    )
    changed = {a.name for a, b in zip(learners, others, strict=True) if a.definition != b.definition}
    assert changed == {learner.name for learner in learners if learner.service is not None}


@pytest.mark.parametrize(
    ("dtype", "length", "told"),
    [
        ("Array(Int64)", 0, "is Array(Int64), a list of no declared elements. Declare how many"),
        (
            "Array(String)",
            1001,
            "a list of 1001 elements. Declare how many of its first elements models take",
        ),
        ("Array(Bytes)", 3, "is Array(Bytes), which a model cannot take in"),
        ("Set(Int64)", 0, "is Set(Int64), which a model cannot take in"),
        ("Array(Array(Int64))", 2, "which a model cannot take in"),
    ],
)
def test_lists_without_a_length_and_what_has_no_order_are_refused(
    tmp_path: Path, dtype: Any, length: int, told: str
) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    with pytest.raises(DefinitionError) as caught:
        compile_learners(load_project(tmp_path), with_batch_feature(dtype, length))
    assert told in str(caught.value)
    assert "'airports__seen' of its service" in str(caught.value)


@pytest.mark.parametrize(
    ("clashing", "length", "refused"), [("seen__1", 2, True), ("seen__2", 2, False), ("seen__x", 2, False)]
)
def test_an_element_and_a_feature_of_one_name_are_refused(
    tmp_path: Path, clashing: str, length: int, refused: bool
) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    definitions = with_batch_feature("Array(Int64)", length, clashing)
    if refused:
        with pytest.raises(DefinitionError, match=r"router 'delays': .* are both called 'airports__seen__1'"):
            compile_learners(load_project(tmp_path), definitions)
    else:
        compile_learners(load_project(tmp_path), definitions)


def test_requests_bring_no_times_and_no_bytes_as_join_keys(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    definitions = feature_definitions()
    (view,) = definitions.stream_views
    view = view.model_copy(update={"join_keys": (FieldSpec(name="origin", dtype="UnixTimestamp"),)})
    with pytest.raises(DefinitionError, match="whose join key 'origin' is UnixTimestamp"):
        compile_learners(load_project(tmp_path), replace(definitions, stream_views=(view,)))


@pytest.mark.parametrize("sent", ['request=["distance", "flight", "delays__mean"]', None])
def test_a_router_that_reads_two_things_of_one_name_is_refused(tmp_path: Path, sent: str | None) -> None:
    """Of two views, or of a view and the request: the prediction log has each under its name."""
    text = LEARNERS if sent is None else LEARNERS.replace('request=["distance", "flight"]', sent)
    (tmp_path / "learners.py").write_text(text)
    definitions = feature_definitions()
    if sent is None:
        (view,) = definitions.stream_views
        mean, count = view.aggregations
        twin = view.model_copy(
            update={"name": "delays_", "aggregations": (mean.model_copy(update={"feature": "_n"}),)}
        )
        other = twin.model_copy(
            update={"name": "delays__", "aggregations": (count.model_copy(update={"feature": "n"}),)}
        )
        refs = (FeatureRef(view="delays_", feature="_n"), FeatureRef(view="delays__", feature="n"))
        service = definitions.services[0].model_copy(update={"features": refs})
        definitions = replace(definitions, stream_views=(view, twin, other), services=(service,))
    with pytest.raises(
        DefinitionError, match=r"router 'delays': .* are both called 'delays__.*Rename one of"
    ):
        compile_learners(load_project(tmp_path), definitions)


def test_a_learner_of_two_routers_is_refused(tmp_path: Path) -> None:
    text = LEARNERS + '\nfrom dataclasses import replace\nother = replace(delays, name="other")\n'
    with pytest.raises(DefinitionError, match="an arm of 2 routers"):
        flights(tmp_path, text=text)


def test_a_repository_without_learners_is_an_empty_project(tmp_path: Path) -> None:
    assert load_project(tmp_path).learners == ()


def with_ratios(**more: Any) -> FeatureDefinitions:
    """The service has an on-demand view besides, of a stored feature and a field of the request."""
    definitions = feature_definitions()
    view = OnDemandViewSpec.model_validate(
        {
            "name": "ratios",
            "mode": "python",
            "inputs": [FeatureRef(view="delays", feature="count")],
            "request": [FieldSpec(name="distance", dtype="Int64")],
            "features": [FieldSpec(name="mean", dtype="Float64")],
            "file": "features.py",
            "definition": "d",
        }
        | more
    )
    service = definitions.services[0]
    one = service.model_copy(update={"features": (FeatureRef(view="ratios", feature="mean"),)})
    return replace(definitions, services=(one,), on_demand_views=(view,))


def test_a_learner_reads_on_demand_views_and_is_another_one_for_it(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    before, _ = compile_learners(load_project(tmp_path), feature_definitions())
    learners, (router,) = compile_learners(load_project(tmp_path), with_ratios())
    assert router.request == ("distance", "flight")
    changed = [
        new.name for old, new in zip(before, learners, strict=True) if old.definition != new.definition
    ]
    assert changed == ["streaming", "crossed", "tree"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"request": [FieldSpec(name="bags", dtype="Int64")]}, "'bags' is neither in `request` nor in"),
        ({"request": [FieldSpec(name="distance", dtype="Bytes")]}, "request field 'distance', a Bytes"),
        ({"features": [FieldSpec(name="mean", dtype="Array(Float64)")]}, r"'ratios__mean' .* is Array"),
    ],
)
def test_what_an_on_demand_view_needs_must_be_served(tmp_path: Path, more: dict, said: str) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS)
    with pytest.raises(DefinitionError, match=said):
        compile_learners(load_project(tmp_path), with_ratios(**more))


def test_the_join_keys_of_what_an_on_demand_view_takes_are_entities(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(LEARNERS.replace('entities=["origin"]', 'entities=["flight"]'))
    with pytest.raises(DefinitionError, match="reads view 'delays', but its join key 'origin'"):
        compile_learners(load_project(tmp_path), with_ratios())


def projected(*services: tuple[tuple[str, str], ...]) -> FeatureDefinitions:
    """A service per argument, with the mean delay under each alias, read by each field of the entities."""
    return replace(
        feature_definitions(),
        services=tuple(
            FeatureServiceSpec(
                name=f"s{number}",
                features=tuple(
                    FeatureRef(view="delays", feature="mean", alias=alias, join_key_map=(("origin", field),))
                    for alias, field in aliases
                ),
            )
            for number, aliases in enumerate(services)
        ),
    )


PROJECTED = """
from datetime import timedelta
from river import linear_model
from headrace import Learner, Router
LEARNERS = [
    Learner(name, linear_model.LogisticRegression, service, "late", request=["distance"])
    for name, service in (("a", "s0"), ("b", "s1"))
]
delays = Router(
    name="delays", arms=["a", "b"], champion="a", unit="distance", entities=["start", "end"],
    request=["distance"], wait=timedelta(hours=1),
)
"""


def test_a_view_that_is_read_under_two_names_is_two_inputs(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(PROJECTED)
    definitions = projected((("first", "start"), ("last", "end")), (("last", "end"),))
    learners, (router,) = compile_learners(load_project(tmp_path), definitions)
    parts = {name: getattr(definitions, name) for name in ("sources", "stream_views", "services")}
    plan = Plan(project="p", learners=learners, routers=(router,), **parts)
    assert [ref.full_name for ref in plan.router_features(router)] == ["first__mean", "last__mean"]
    assert [key.name for key in plan.request_keys(plan.router_features(router))] == ["start", "end"]
    text = PROJECTED.replace('"start", "end"', '"start"')
    (tmp_path / "learners.py").write_text(text)
    with pytest.raises(DefinitionError, match="view 'last', but its join key 'end' is not in `entities`"):
        compile_learners(load_project(tmp_path), definitions)


def test_arms_may_not_call_two_views_by_one_name(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(PROJECTED)
    with pytest.raises(
        DefinitionError,
        match="'end:mean of delays by origin=start' and feature 'end:mean of delays by origin=end' are both",
    ):
        compile_learners(load_project(tmp_path), projected((("end", "start"),), (("end", "end"),)))


def test_a_join_key_has_one_type_for_all_arms(tmp_path: Path) -> None:
    (tmp_path / "learners.py").write_text(PROJECTED)
    definitions = projected((("first", "start"),), (("last", "end"),))
    number = definitions.stream_views[0].model_copy(
        update={"name": "numbers", "join_keys": (FieldSpec(name="number", dtype="Int64"),)}
    )
    other = FeatureServiceSpec(
        name="s1",
        features=(FeatureRef(view="numbers", feature="mean", join_key_map=(("number", "start"),)),),
    )
    definitions = replace(
        definitions,
        stream_views=(*definitions.stream_views, number),
        services=(definitions.services[0], other),
    )
    with pytest.raises(DefinitionError, match="'start' of the request is both String and Int64"):
        compile_learners(load_project(tmp_path), definitions)


def test_a_request_field_has_the_type_of_the_join_key_that_is_mapped_to_it() -> None:
    definitions = projected((("first", "start"),), (("last", "end"),))
    parts = {name: getattr(definitions, name) for name in ("sources", "stream_views", "services")}
    assert request_kind(Plan(project="p", **parts), "start") == "text"


def test_a_learner_may_read_the_last_text(tmp_path: Path) -> None:
    only = 'LEARNERS = [one for one in LEARNERS if one.name == "crossed"]\n'
    text = LEARNERS.replace("delays = Router(", f"{only}delays = Router(").replace(
        'champion="streaming"', 'champion="crossed"'
    )
    (tmp_path / "learners.py").write_text(text)
    definitions = feature_definitions()
    (view,) = definitions.stream_views
    mean, count = view.aggregations
    texts = count.model_copy(update={"function": "last", "column": "flight", "dtype": "String"})
    definitions = replace(
        definitions, stream_views=(view.model_copy(update={"aggregations": (mean, texts)}),)
    )
    learners, routers = compile_learners(load_project(tmp_path), definitions)
    parts = {name: getattr(definitions, name) for name in ("sources", "stream_views", "services")}
    plan = Plan(project="p", learners=learners, routers=routers, **parts)
    x = Inputs(plan, plan.learner("crossed")).select(
        {"delays__mean": 1.0, "delays__count": "UA1"}, {"distance": 2}, {}
    )
    assert x == {"delays__count": "UA1", "delays__mean": 1.0, "distance": 2}


def test_a_request_field_is_text_where_it_is_an_enum_of_events() -> None:
    kind = {"name": "kind", "type": ["null", {"type": "enum", "name": "K", "symbols": ["A"]}]}
    (source,) = feature_definitions().sources
    schema = json.loads(source.reader_schema)
    schema["fields"].append(kind)
    definitions = replace(
        feature_definitions(),
        sources=(source.model_copy(update={"reader_schema": json.dumps(schema)}),),
    )
    assert Features(definitions).request_type("kind") == "String"
