"""Names that cannot be told apart: what reads them is left out with the two, and the rest goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.redis_codec.layout import feature_field
from tests.support.edits import Append, Replace, objection, refusal

ON_DEMAND = """
from feast import RequestSource
from feast.on_demand_feature_view import on_demand_feature_view


@on_demand_feature_view(
    sources=[{sources}], schema=[Field(name="y", dtype=Float64)], mode="python"
)
def computed(inputs):
    return inputs
"""
BOOKS = """
booked = FeatureView(
    name="booked",
    entities=[origin],
    schema=[Field(name="origin", dtype=String), Field(name="{feature}", dtype={dtype})],
    source=FileSource(name="booked_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
"""
PERMISSION = """
from feast.permissions.action import READ
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

ANY = RoleBasedPolicy(roles=["any"])
readers = Permission(name="readers", types=FeatureView, policy=ANY, actions=READ)
"""
TWINS = """
carrier_ = FeatureView(
    name="airlines_",
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name="_n", dtype=Int64)],
    source=FileSource(name="one_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
other = FeatureView(
    name="airlines__",
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name="n", dtype=Int64)],
    source=FileSource(name="two_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
"""


def test_a_service_of_two_features_of_one_name_is_left_out_and_others_are_not(
    repo: Path, append: Append
) -> None:
    append(TWINS)
    append("both = FeatureService(name='both', features=[carrier_, other])\n")
    append("one = FeatureService(name='one', features=[carrier_])\n")
    error = objection(repo)
    assert error.name == "feature service 'both'"
    assert "feature 'airlines_:_n' and feature 'airlines__:n' are both called 'airlines____n'" in str(error)
    assert "Rename one of the two" in error.remedy
    assert [service.name for service in compile_features(repo).services] == ["delays", "one"]


def test_an_on_demand_view_with_two_inputs_of_one_full_name_is_left_out(repo: Path, append: Append) -> None:
    append(TWINS + ON_DEMAND.format(sources="carrier_, other"))
    assert "are both called 'airlines____n'" in str(objection(repo))


@pytest.mark.parametrize(
    ("feature", "asked", "said"),
    [
        ("carrier", "Field(name='z', dtype=Int64)", "a join key under the name 'carrier'"),
        ("x", "Field(name='booked__x', dtype=Int64)", "both called 'booked__x'"),
        ("x", "Field(name='carrier', dtype=Int64)", "'carrier' of the request is both Int64 and String"),
    ],
)
def test_an_input_that_is_called_as_a_join_key_or_a_field_of_the_request_is_told(
    repo: Path, append: Append, feature: str, asked: str, said: str
) -> None:
    append(BOOKS.format(feature=feature, dtype="Int64"))
    sources = f"airlines, booked, RequestSource(name='asked', schema=[{asked}])"
    append(ON_DEMAND.format(sources=sources))
    assert said in str(objection(repo))


def test_a_field_of_the_request_may_be_a_join_key(repo: Path, append: Append) -> None:
    sources = "airlines, RequestSource(name='asked', schema=[Field(name='carrier', dtype=String)])"
    append(ON_DEMAND.format(sources=sources))
    parts = compile_features(repo)
    assert [view.name for view in parts.on_demand_views] == ["computed"]
    assert parts.left_out == ()


ROUTES = """
routes = FeatureView(
    name="routes",
    entities=[{entity}],
    schema=[Field(name="{entity}", dtype=String), Field(name="f7714", dtype=Int64)],
    source=FileSource(name="routes_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
"""


@pytest.mark.parametrize(("entity", "is_told"), [("carrier", True), ("origin", False)])
def test_two_features_of_an_entity_that_have_one_field_in_redis_are_told(
    repo: Path, replace: Replace, append: Append, entity: str, is_told: bool
) -> None:
    """The field is a hash, of 32 bits, of the names of view and feature. Another entity has other fields."""
    assert feature_field("airlines", "f95923") == feature_field("routes", "f7714")
    replace('Field(name="share", dtype=Float32)', 'Field(name="f95923", dtype=Float32)')
    append(ROUTES.format(entity=entity))
    said = [f"{reason.name}: {reason.problem}" for reason in compile_features(repo).left_out]
    problem = "Feast keeps it and feature 'airlines:f95923' in one field of Redis"
    assert said == ([f"feature view 'routes', feature 'f7714': {problem}"] if is_told else [])


@pytest.mark.parametrize("name", ["event_timestamp", "created", "_partition", "_offset", "event_day"])
def test_a_stream_feature_that_is_called_as_a_column_of_the_log_is_left_out(
    repo: Path, replace: Replace, name: str
) -> None:
    replace('            name="n_1h",', f'            name="{name}",')
    replace('Field(name="n_1h", dtype=Int64)', f'Field(name="{name}", dtype=Int64)')
    error = objection(repo)
    assert error.name == f"stream feature view 'carrier_delays', feature '{name}'"
    assert "it is called as a column of the feature log is" in str(error)


def test_a_stream_feature_that_is_called_as_its_join_key_is_refused(repo: Path, replace: Replace) -> None:
    replace('            name="n_1h",', '            name="carrier",')
    replace('        Field(name="n_1h", dtype=Int64),\n', "")
    assert refusal(repo).name == "stream feature view 'carrier_delays', feature 'carrier'"


@pytest.mark.parametrize(
    ("twin", "name"),
    [
        ("Entity(name='carrier', join_keys=['code'], value_type=ValueType.STRING)", "entity 'carrier'"),
        (
            "Permission(name='readers', types=FeatureService, policy=ANY, actions=READ)",
            "permission 'readers'",
        ),
    ],
)
def test_two_objects_of_one_name_that_differ_are_refused(
    repo: Path, append: Append, twin: str, name: str
) -> None:
    """Feast's registry would keep one of them, and views would be read by the other's join key."""
    append(PERMISSION)
    append(f"a_twin = {twin}\n")
    error = refusal(repo)
    assert error.name == name
    assert re.search(r"there is another of this name in features.py:\d+, which differs", error.problem)
    assert error.line is not None


def test_two_equal_entities_are_one(repo: Path, append: Append) -> None:
    append("again = Entity(name='carrier', join_keys=['carrier'], value_type=ValueType.STRING)\n")
    assert compile_features(repo).left_out == ()


def test_a_project_of_another_name_is_refused_and_so_is_a_second(repo: Path, append: Append) -> None:
    append("from feast.project import Project\n")
    name = compile_features(repo).project
    append(f"one = Project(name='{name}')\n")
    assert compile_features(repo).left_out == ()
    append(f"two = Project(name='{name}')\n")
    assert refusal(repo).problem == "there is another Project, and Feast takes one"
    append("two = Project(name='other')\n")
    error = refusal(repo)
    assert (error.name, error.remedy) == ("project 'other'", f"Write name='{name}'")
