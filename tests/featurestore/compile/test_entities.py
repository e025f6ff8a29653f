"""Join keys of views: of their entities, sorted, each of one type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from feast import Entity, Field
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.entities import JoinKeys
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FieldSpec

ENTITIES = [
    Entity(name="carrier", value_type=ValueType.STRING),
    Entity(name="airport", join_keys=["origin"]),
    Entity(name=DUMMY_ENTITY_NAME),
]


def view(name: str, *entities: str, **columns: Any) -> tuple[Definition, Any]:
    fields = [Field(name=column, dtype=dtype) for column, dtype in columns.items()]
    definition = Definition("features.py", f"feature view '{name}'")
    return definition, SimpleNamespace(entities=[*entities], entity_columns=fields)


def test_keys_are_sorted_and_typed_by_the_schema_or_the_entity() -> None:
    keys = JoinKeys(ENTITIES).compile(*view("v", "airport", "carrier", origin=Int64))
    assert keys == (FieldSpec(name="carrier", dtype="String"), FieldSpec(name="origin", dtype="Int64"))


def test_a_view_without_entities_has_no_keys() -> None:
    assert JoinKeys(ENTITIES).compile(*view("v", DUMMY_ENTITY_NAME)) == ()


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (
            [view("v", "carier")],
            "entity 'carier' stands at the top level of no file. Did you mean 'carrier'?",
        ),
        ([view("v", "flight")], "Known: airport, carrier"),
        ([view("v", "airport")], "'v': join key 'origin' has no type. Add Field(name='origin', dtype=...)"),
        ([view("v", "carrier", carrier=Float64)], "'v': join key 'carrier' has type Float64, which Feast"),
        (
            [view("v", "airport", origin=Int64), view("w", "airport", origin=String)],
            "'w': join key 'origin' is String, but Int64 in feature view 'v'",
        ),
    ],
)
def test_keys_that_cannot_be_used_are_refused(views: list[tuple[Definition, Any]], said: str) -> None:
    keys = JoinKeys(ENTITIES)
    *first, last = views
    for each in first:
        keys.compile(*each)
    with pytest.raises(DefinitionError) as refused:
        keys.compile(*last)
    assert said in str(refused.value)
