"""What can be said of the table of a batch view before anything is read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.tables.file_source import is_local, source_path, source_rows, table_columns
from headrace.featurestore.tables.table_rows import parquet_files
from headrace.schemas.errors import HeadraceError

_UNREADABLE = (HeadraceError, OSError, pa.ArrowException)


def check_table(definition: Definition, view: Any, repo_path: Path) -> None:
    """Refuse a table without usable event times. One that is not here, or not here yet, is not looked at.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's object.
    repo_path
        The repository, which the path of the source is relative to.

    Raises
    ------
    DefinitionError
        When the files cannot be read, or the column of event times or of created times is missing or holds no
        timestamps.
    """
    source = view.batch_source
    try:
        columns = _columns(view, repo_path)
    except _UNREADABLE as error:
        path = source_path(source, repo_path)
        raise definition.error(
            f"its table {path} cannot be read ({error})", f"See the path of source '{source.name}'"
        ) from error
    if columns is None:
        return
    mapped = table_columns(source)
    for role in ("timestamp_field", "created_timestamp_column"):
        if name := getattr(source, role):
            _check_times(definition.part(role), mapped.get(name, name), columns)


def lacking_columns(view: Any, repo_path: Path) -> list[str]:
    """Return join keys and features that the table of a batch view has no column for.

    What is pushed to the view may have them, so it is no fault before the table is read.
    """
    try:
        columns = _columns(view, repo_path)
    except _UNREADABLE:  # which `check_table` has told
        return []
    if columns is None:
        return []
    mapped = table_columns(view.batch_source)
    keys = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    wanted = [mapped.get(name, name) for name in (*keys, *(field.name for field in view.features))]
    return [name for name in wanted if name not in columns.names]


def _columns(view: Any, repo_path: Path) -> pa.Schema | None:
    """The columns of the table; None where it is not here, or not here yet."""
    source = view.batch_source
    if source is None or not is_local(source):
        return None
    path = source_path(source, repo_path)
    if not path.exists() or not parquet_files(path):
        return None
    return source_rows(view.name, source, repo_path).columns()


def _check_times(definition: Definition, name: str, columns: pa.Schema) -> None:
    if name not in columns.names:
        raise definition.error(f"its table has no column '{name}'", suggestion(name, columns.names))
    kind = columns.field(name).type
    if not pa.types.is_timestamp(kind):
        raise definition.error(
            f"column '{name}' of its table is {kind}, not a timestamp", "Write it as timestamps, in UTC"
        )
