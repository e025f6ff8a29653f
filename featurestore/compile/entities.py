"""Entities of views to join keys of the plan."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from feast.feature_view import DUMMY_ENTITY_NAME
from feast.types import from_value_type
from feast.value_type import ValueType as FeastValueType

from headrace.featurestore.compile.definition import Definition, field_specs, suggestion
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import JOIN_KEY_TYPES, ValueType


class JoinKeys:
    """Compiles the join keys of views, and refuses one name with two types.

    Parameters
    ----------
    entities
        Feast's entities of the repository.
    """

    def __init__(self, entities: list[Any]) -> None:
        self._entities = {entity.name: entity for entity in entities}
        self._types: dict[str, tuple[ValueType, str]] = {}

    def compile(self, definition: Definition, view: Any) -> tuple[FieldSpec, ...]:
        """Return the join keys of a view, sorted by name; none of a view without entities.

        Raises
        ------
        CannotRun
            When its join key has a type that Headrace cannot use, or another than in a view before.
        DefinitionError
            When an entity is unknown, or its join key has no type.
        """
        if list(view.entities) == [DUMMY_ENTITY_NAME]:
            return ()
        declared = {field.name: field.dtype for field in view.entity_columns}
        keys = [self._join_key(definition, name, declared) for name in view.entities]
        return field_specs(sorted(keys))

    def _join_key(
        self, definition: Definition, entity_name: str, declared: dict[str, Any]
    ) -> tuple[str, ValueType]:
        if entity_name not in self._entities:
            raise definition.not_defined(
                f"its entity '{entity_name}' stands at the top level of no file",
                suggestion(entity_name, self._entities.keys() - {DUMMY_ENTITY_NAME}),
            )
        entity = self._entities[entity_name]
        key = entity.join_key
        if key not in declared and entity.value_type is FeastValueType.UNKNOWN:
            raise definition.error(
                f"join key '{key}' has no type",
                f"Add Field(name='{key}', dtype=...) to the schema, or value_type to entity '{entity_name}'",
            )
        dtype = declared[key] if key in declared else from_value_type(entity.value_type)
        if str(dtype) not in JOIN_KEY_TYPES:
            raise definition.cannot_run(
                f"join key '{key}' has type {dtype}, which Feast {version('feast')} does not write into keys",
                f"Use one of {', '.join(JOIN_KEY_TYPES)}",
            )
        kind = definition.value_type(key, dtype, JOIN_KEY_TYPES)
        first_kind, first_view = self._types.setdefault(key, (kind, definition.name))
        if first_kind != kind:
            raise definition.cannot_run(
                f"join key '{key}' is {kind}, but {first_kind} in {first_view}", "Use one type for it"
            )
        return key, kind
