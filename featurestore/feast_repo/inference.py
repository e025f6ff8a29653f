"""Feast's inference of what a feature view leaves out, from the table of its source."""

from __future__ import annotations

from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.inference import (
    update_data_sources_with_inferred_event_timestamp_col,
    update_feature_views_with_inferred_features_and_entities,
)
from feast.infra.provider import get_provider
from feast.value_type import ValueType

from headrace.featurestore.feast_repo.error_text import error_text
from headrace.schemas.errors import DefinitionError


def infer(file: str, view: Any, entities: list[Any], config: Any) -> None:
    """Fill in the event time column, features and types of join keys that a view leaves out, as Feast does.

    A view that leaves nothing out is as it was, and its table is not looked at.

    Parameters
    ----------
    file
        The file that defines the view.
    view
        Feast's object; it is changed.
    entities
        Feast's entities of the repository.
    config
        Feast's `RepoConfig`.

    Raises
    ------
    DefinitionError
        When something is left out and the table does not say it, or cannot be read.
    """
    if view.batch_source is None:
        return
    missing = _left_out(view, entities)
    try:
        if not view.batch_source.timestamp_field:
            update_data_sources_with_inferred_event_timestamp_col([view.batch_source], config)
        if missing:
            update_feature_views_with_inferred_features_and_entities(
                get_provider(config), [view], entities, config
            )
    except Exception as error:  # whatever the source raises
        missing += [] if view.batch_source.timestamp_field else ["timestamp_field of its source"]
        raise DefinitionError(
            file,
            f"feature view '{view.name}'",
            f"it leaves out {' and '.join(missing)}, and its table does not say "
            f"({type(error).__name__}: {error_text(error)})",
            "Write it, or put the table in its place",
        ) from error


def _left_out(view: Any, entities: list[Any]) -> list[str]:
    declared = {field.name for field in view.entity_columns}
    untyped = [
        f"the type of join key '{entity.join_key}'"
        for entity in entities
        if entity.name in view.entities
        and entity.join_key not in declared
        and entity.value_type is ValueType.UNKNOWN
    ]
    return ([] if view.features else ["its features"]) + untyped
