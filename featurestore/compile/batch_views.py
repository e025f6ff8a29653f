"""Batch feature views to specifications of the plan. Feast reads their tables, unchanged."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from headrace.featurestore.compile.definition import Definition, list_length
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.expectations import EXPECT
from headrace.featurestore.compile.table_source import compile_table
from headrace.featurestore.compile.types import stored_type
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, TableSpec


def compile_batch_view(
    definition: Definition, view: Any, join_keys: JoinKeys, repo_path: Path
) -> BatchViewSpec:
    """Compile a `FeatureView`. One over a push source or a Kafka source has the table of that source.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's object.
    join_keys
        Those of the repository.
    repo_path
        The repository, which paths of tables are relative to.

    Raises
    ------
    CannotRun
        When Feast has a use for the view, and Headrace none.
    DefinitionError
        When the view cannot be written as it is.
    """
    definition.tags(view.tags, (), EXPECT)
    if not view.online:
        raise definition.cannot_run(
            "it has online=False: Feast alone reads it, for training", "Set online=True"
        )
    if view.batch_source is None or view.source_views:
        raise definition.cannot_run(
            "it has no table of its own", "Write source=FileSource(...) or another table"
        )
    if any(getattr(view, name, None) for name in ("udf", "feature_transformation", "aggregations")):
        raise definition.cannot_run(
            "its transformation is not executed", "Prepare the table beforehand and take it out"
        )
    if not view.features:
        raise definition.error("its schema names no features", "Write schema=[Field(...), ...]")
    keys = join_keys.compile(definition, view)
    with definition.leaving_out():
        ttl_ms = definition.ttl_ms(view.ttl)
    return BatchViewSpec(
        name=view.name,
        join_keys=keys,
        features=tuple(
            FieldSpec(
                name=field.name,
                dtype=stored_type(definition, field.name, field.dtype),
                length=list_length(definition, field),
            )
            for field in view.features
        ),
        ttl_ms=ttl_ms,
        table=_table_name(view.batch_source),
        source=_table(definition, view.batch_source, repo_path),
    )


def _table(definition: Definition, source: Any, repo_path: Path) -> TableSpec:
    try:
        return compile_table(source, repo_path)
    except Exception as error:  # of a source class whatever it raises
        raise definition.error(
            f"its source '{source.name}' does not say what it reads ({type(error).__name__}: {error})",
            "Correct the source",
        ) from error


def _table_name(source: Any) -> str:
    """Name the table. Feast names a file after its path when it has no other name, and the folder differs
    between machines."""
    path = PurePath(source.name)
    return path.name if path.is_absolute() else str(source.name)
